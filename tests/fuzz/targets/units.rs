//! libFuzzer's end of the target `units`; the body is in `bodies/units.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::units::try_one(input));
