//! Which capabilities the agent needs, and which of them a process lacks. Pure.

/// Bit numbers of include/uapi/linux/capability.h.
const NEEDED: [(u32, &str); 6] = [
    (39, "CAP_BPF"),
    (38, "CAP_PERFMON"),
    (21, "CAP_SYS_ADMIN"),
    (34, "CAP_SYSLOG"),
    (23, "CAP_SYS_NICE"),
    (1, "CAP_DAC_OVERRIDE"),
];

/// The needed ones that are not in `CapEff` of a `/proc/PID/status`. Without that line: all.
pub(super) fn lacking(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    NEEDED.into_iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_lacking_when_its_bit_is_not_set() {
        assert!(lacking("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
        // All but bit 39: 0x1ffffffffff - 0x8000000000 = 0x17fffffffff.
        assert_eq!(lacking("CapEff:\t0000017fffffffff\n"), ["CAP_BPF"]);
        assert_eq!(lacking("CapPrm:\t000001ffffffffff\n").len(), NEEDED.len());
    }
}
