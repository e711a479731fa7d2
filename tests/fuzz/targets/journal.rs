//! libFuzzer's end of the target `journal`; the body is in `bodies/journal.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::journal::try_one(input));
