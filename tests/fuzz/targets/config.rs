//! libFuzzer's end of the target `config`; the body is in `bodies/config.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::config::try_one(input));
