//! libFuzzer's end of the target `decide`; the body is in `bodies/decide.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::decide::try_one(input));
