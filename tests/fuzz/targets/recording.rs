//! libFuzzer's end of the target `recording`; the body is in `bodies/recording.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::recording::try_one(input));
