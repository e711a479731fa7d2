//! Choices taken out of an input, byte by byte: how the targets `policy` and `decide` make a host. An input that is too
//! short goes on with zeros.

use std::collections::BTreeMap;

use swaptier_policies::{
    Bytes, CgroupId, CgroupPath, CgroupView, Cold, HostView, Knob, Limit, MapHealth, Pages, Seconds,
    Settings, Share, Snapshot, Tiers, Writeback,
};

/// Paths that the shipped policies and short globs meet, and one that would like to write on a terminal.
const PATHS: [&str; 12] = [
    "",
    "a",
    "a/b",
    "a/b/c",
    "batch.slice",
    "batch.slice/x",
    "user.slice/user-1000.slice",
    "latency.slice/db",
    "archive.slice/x",
    "demo.slice/cold",
    "demo.slice/hot",
    "\u{1b}[2J\u{7}",
];

/// The rest of an input.
pub struct Dice<'a>(pub &'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::from(self.byte()) % these.len()]
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Small, at an edge, or anything.
    fn amount(&mut self) -> u64 {
        let shape = self.byte();
        let edge = 1_u64 << (shape & 63);
        match shape >> 6 {
            0 => edge.wrapping_sub(1),
            1 => edge,
            2 => u64::from(self.byte()).wrapping_mul(edge),
            _ => self.number(),
        }
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 7 != 7).then(|| make(self))
    }

    fn bytes(&mut self) -> Bytes {
        Bytes(self.amount())
    }

    fn limit(&mut self) -> Limit {
        if self.byte() & 1 == 0 { Limit::Max } else { Limit::Bytes(self.bytes()) }
    }

    fn view(&mut self) -> CgroupView {
        let path = match self.byte() {
            own @ 240.. => CgroupPath::new(&(240..own).map(|_| self.byte()).collect::<Vec<u8>>()),
            known => PATHS[usize::from(known) % PATHS.len()].into(),
        };
        CgroupView {
            path,
            parent: self.maybe(|dice| CgroupId(u64::from(dice.byte() & 15))),
            populated: self.byte() & 1 == 0,
            memory_current: self.maybe(Self::bytes),
            memory_high: self.maybe(Self::limit),
            memory_max: self.maybe(Self::limit),
            swap_current: self.maybe(Self::bytes),
            settings: Settings::fresh()
                .read(Knob::SwapMax, self.maybe(Self::limit))
                .read(Knob::ZswapMax, self.maybe(Self::limit))
                .read(Knob::ZswapWriteback, self.maybe(|dice| dice.byte() & 1 == 1)),
            zswap_compressed: self.maybe(Self::bytes),
            zswap_original: self.maybe(Self::bytes),
            tiers: self.maybe(Self::tiers),
            cold: self.maybe(Self::cold),
        }
    }

    fn tiers(&mut self) -> Tiers {
        Tiers {
            zswap: Pages(self.amount()),
            zswap_compressed: self.bytes(),
            phys: Pages(self.amount()),
            ..Tiers::default()
        }
    }

    fn cold(&mut self) -> Cold {
        Cold {
            older_than: Seconds(self.pick(&[5, 600, 3600, 7])),
            pages: Pages(self.amount()),
            compressed: self.bytes(),
            oldest: Seconds(self.amount()),
        }
    }

    /// A host with up to eleven cgroups. Its tree may be no tree at all.
    pub fn snapshot(&mut self) -> Snapshot {
        let page_size = match self.byte() {
            exact @ 0..128 => 4096 << (exact & 4),
            _ => self.amount(),
        };
        let host = HostView {
            ram: self.bytes(),
            zswap_enabled: self.byte() & 3 != 3,
            pool_compressed: self.maybe(Self::bytes),
            pool_original: self.maybe(Self::bytes),
            pool_limit: self.maybe(Self::bytes),
            accept_threshold: self.maybe(|dice| Share(u32::from(dice.byte()) * 10_000)),
            swap_total: if self.byte() & 3 == 3 { Bytes(0) } else { Bytes(1 << 32) },
            swap_free: self.bytes(),
            areas: Vec::new(),
            writeback: match self.byte() & 3 {
                2 => Writeback::Uncharged,
                3 => Writeback::None("none".to_owned()),
                _ => Writeback::Ready("worker".to_owned()),
            },
            map: match self.byte() & 3 {
                3 => MapHealth::Absent("none".to_owned()),
                _ => MapHealth::Exact,
            },
        };
        let mut cgroups = BTreeMap::new();
        for n in 0..1 + u64::from(self.byte() % 11) {
            cgroups.insert(CgroupId(1 + n), self.view());
        }
        let (at, day) = (Seconds(self.amount()), self.byte().into());
        Snapshot { at, day, page_size: Bytes(page_size), host, cgroups }
    }
}
