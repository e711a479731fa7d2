//! libFuzzer's end of the target `host`; the body is in `bodies/host.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::host::try_one(input));
