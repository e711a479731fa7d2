//! Files of `key value` lines: `memory.stat` and `/proc/vmstat`. Pure.
//!
//! A counter that the kernel does not print is `None`, which is not zero: `zswpwb` came with 6.8, `pswpin` per cgroup
//! with 6.18. Callers: `cgroupfs/` and `procfs.rs`.

use serde::{Deserialize, Serialize};

/// Makes a struct with one optional counter per key, and the parser that fills it. Field names are the kernel's keys.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $key:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$doc])* pub $key: Option<u64>,)*
        }

        impl $name {
            /// Picks the known keys out of the text. Other keys and lines of another form are passed over; a value
            /// that is no number leaves its counter unknown.
            pub fn parse(text: &str) -> $name {
                let mut counters = $name::default();
                for (key, value) in lines(text) {
                    $(if key == stringify!($key).as_bytes() {
                        counters.$key = number(value);
                    } else)* {}
                }
                counters
            }
        }
    };
}

/// The lines of the form `key value`. By bytes: a thousand cgroups are a hundred thousand lines in each tick.
fn lines(text: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.as_bytes().split(|byte| *byte == b'\n').filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some((&line[..space], &line[space + 1..]))
    })
}

/// The value of decimal digits alone, white space around them aside.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    let value = digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    value.filter(|_| !digits.is_empty())
}

counters! {
    /// What is read of a cgroup's `memory.stat`. All of it counts the whole subtree.
    MemoryStat {
        /// Bytes of anonymous memory in RAM.
        anon,
        /// Bytes of page cache in RAM, tmpfs included.
        file,
        /// Bytes of tmpfs and shared memory in RAM.
        shmem,
        /// Bytes in the swap cache.
        swapcached,
        /// *Compressed* bytes in zswap.
        zswap,
        /// *Original* bytes in zswap.
        zswapped,
        /// Pages that came back from zswap.
        zswpin,
        /// Pages that went into zswap.
        zswpout,
        /// Pages written back from zswap to disk (6.8 on).
        zswpwb,
        /// Pages of zeros that came back (6.12 on).
        swpin_zero,
        /// Pages of zeros swapped out to nowhere (6.12 on).
        swpout_zero,
        /// Pages read from a swap device (6.18 on).
        pswpin,
        /// Pages written to a swap device (6.18 on).
        pswpout,
        /// Pages scanned by all of reclaim.
        pgscan,
        /// Pages reclaimed by all of reclaim.
        pgsteal,
        /// Pages scanned for `memory.reclaim` (6.18 on).
        pgscan_proactive,
        /// Pages reclaimed for `memory.reclaim` (6.18 on).
        pgsteal_proactive,
        /// Major faults.
        pgmajfault,
        /// Anonymous pages that came back soon after they were evicted.
        workingset_refault_anon,
        /// File pages that came back soon after they were evicted.
        workingset_refault_file,
    }
}

counters! {
    /// What is read of `/proc/vmstat`: pages since boot, for the whole host.
    VmStat {
        /// Pages read from swap devices.
        pswpin,
        /// Pages written to swap devices.
        pswpout,
        /// Pages that came back from zswap.
        zswpin,
        /// Pages that went into zswap.
        zswpout,
        /// Pages written back from zswap to disk (6.8 on).
        zswpwb,
        /// Pages of zeros that came back (6.12 on).
        swpin_zero,
        /// Pages of zeros swapped out to nowhere (6.12 on).
        swpout_zero,
        /// Pages in the swap cache now.
        nr_swapcached,
        /// Major faults.
        pgmajfault,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_counter_is_read_wherever_its_line_stands(
            zswap in any::<u64>(), zswpwb in any::<u64>(), anon in proptest::option::of(any::<u64>()), turn in 0usize..5,
        ) {
            let mut lines = vec![format!("zswap {zswap}"), format!("zswpwb {zswpwb}"), "slab 7".into(), "zswap_incomp 9".into()];
            lines.extend(anon.map(|anon| format!("anon {anon}")));
            let places = lines.len();
            lines.rotate_left(turn % places);
            let expected = MemoryStat { zswap: Some(zswap), zswpwb: Some(zswpwb), anon, ..MemoryStat::default() };
            prop_assert_eq!(MemoryStat::parse(&lines.join("\n")), expected);
        }
    }

    #[test]
    fn known_keys_are_read_and_absent_ones_are_unknown() {
        let stat = MemoryStat::parse("anon 4096\nfile 0\nzswap 1024\nzswapped 8192\nzswpwb 3\nslab 77\n");
        let expected = MemoryStat {
            anon: Some(4096),
            file: Some(0),
            zswap: Some(1024),
            zswapped: Some(8192),
            zswpwb: Some(3),
            ..MemoryStat::default()
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_key_is_not_taken_for_a_longer_one() {
        let stat = MemoryStat::parse("zswapped 8192\nzswap_incomp 5\npgscan_proactive 9\n");
        assert_eq!((stat.zswap, stat.zswapped), (None, Some(8192)));
        assert_eq!((stat.pgscan, stat.pgscan_proactive), (None, Some(9)));
    }

    #[test]
    fn what_is_no_number_is_unknown_and_never_zero() {
        // 18446744073709551616 is one more than fits.
        let stat = VmStat::parse("pswpin\npswpout many\nzswpin -1\nzswpout 18446744073709551616\n\nzswpwb 7");
        assert_eq!(stat, VmStat { zswpwb: Some(7), ..VmStat::default() });
        let stat =
            VmStat::parse("pswpin 18446744073709551615\npswpout \nzswpin  8 \r\nzswpout 7 8\nzswpwb 7x");
        assert_eq!(stat, VmStat { pswpin: Some(u64::MAX), zswpin: Some(8), ..VmStat::default() });
    }
}
