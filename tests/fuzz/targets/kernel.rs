//! libFuzzer's end of the target `kernel`; the body is in `bodies/kernel.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::kernel::try_one(input));
