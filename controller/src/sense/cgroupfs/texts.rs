//! The texts of a cgroup's files of one value. Pure; `None` is what the kernel does not print.
//!
//! `memory.stat` is in `sense/counters.rs`, `memory.pressure` in `sense/pressure.rs`. Caller: `files.rs`.

use swaptier_policies::{Bytes, Limit};

/// `cgroup.events`: whether a process lives in the cgroup or below.
pub fn is_populated(text: &str) -> bool {
    text.lines().any(|line| line == "populated 1")
}

/// `memory.current`, `memory.swap.current`, `memory.zswap.current`.
pub fn parse_bytes(text: &str) -> Option<Bytes> {
    decimal(text.trim()).map(Bytes)
}

/// `memory.high`, `memory.max`, `memory.swap.max`, `memory.zswap.max`.
pub fn parse_limit(text: &str) -> Option<Limit> {
    match text.trim() {
        "max" => Some(Limit::Max),
        bytes => decimal(bytes).map(|bytes| Limit::Bytes(Bytes(bytes))),
    }
}

/// `memory.zswap.writeback`.
pub fn parse_switch(text: &str) -> Option<bool> {
    match text.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Digits and nothing else: `u64` itself would take `+1` too.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_prints_is_read() {
        assert_eq!(parse_bytes("4096\n"), Some(Bytes(4096)));
        assert_eq!(parse_limit("max\n"), Some(Limit::Max));
        assert_eq!(parse_limit("0\n"), Some(Limit::ZERO));
        assert_eq!((parse_switch("0\n"), parse_switch("1\n")), (Some(false), Some(true)));
        assert!(is_populated("populated 1\nfrozen 0\n") && !is_populated("populated 0\nfrozen 1\n"));
    }

    #[test]
    fn what_it_never_prints_is_unknown_and_never_zero() {
        // 18446744073709551616 is one more than fits.
        for text in ["", "\n", "-1", "+1", "1 2", "0x10", "many", "18446744073709551616"] {
            assert_eq!((parse_bytes(text), parse_limit(text)), (None, None), "{text}");
        }
        assert_eq!(parse_switch("2"), None);
    }
}
