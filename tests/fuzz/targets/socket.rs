//! libFuzzer's end of the target `socket`; the body is in `bodies/socket.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| swaptier_fuzz::socket::try_one(input));
