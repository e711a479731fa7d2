//! libFuzzer's end of the target `restore`; the body is in `bodies/restore.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::restore::try_one(input));
