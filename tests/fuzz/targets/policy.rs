//! libFuzzer's end of the target `policy`; the body is in `bodies/policy.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::policy::try_one(input));
