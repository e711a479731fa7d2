//! libFuzzer's end of the target `undo`; the body is in `bodies/undo.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::undo::try_one(input));
