//! Which kinds of swap areas this host can have, and what is missing for the others. Only looks: whether the kernel takes a
//! file with nothing but a header is asked when a ghost is made.

use crate::{
    probe::{About, Finding, Level},
    root::Root,
    vswap::modules::Modules,
};

/// A kind, the modules it cannot be without, and what more others of them give it.
struct Kind {
    about: About,
    needs: &'static [&'static str],
    more: &'static [(&'static str, &'static str)],
    /// A module by which it is had where those are missing.
    instead: Option<&'static str>,
}

const KINDS: [Kind; 3] = [
    Kind { about: About::GhostAreas, needs: &["dm_mod", "loop"], more: &[], instead: Some("zram") },
    Kind { about: About::ZramGhosts, needs: &["zram"], more: &[], instead: None },
    Kind {
        about: About::VirtualAreas,
        needs: &["dm_mod", "dm_thin_pool"],
        more: &[
            ("loop", "pools in files"),
            ("dm_crypt", "encryption"),
            ("dm_mirror", "moving to another disk in use"),
        ],
        instead: None,
    },
];

/// One finding for each kind.
pub(super) fn findings(root: &Root) -> Vec<Finding> {
    let modules = Modules::read(root);
    KINDS.iter().map(|kind| finding(kind, &|module| modules.has(module))).collect()
}

fn finding(kind: &Kind, has: &impl Fn(&str) -> bool) -> Finding {
    let lacks: Vec<&str> = kind.needs.iter().copied().filter(|module| !has(module)).collect();
    if !lacks.is_empty() {
        if let Some(instead) = kind.instead.filter(|module| has(module)) {
            let says = format!("can be had over {instead} alone: this kernel lacks {}", lacks.join(" and "));
            return Finding::new(kind.about, Level::Ok, says);
        }
        let says = format!("cannot be had: this kernel lacks {}", lacks.join(" and "));
        return Finding::new(kind.about, Level::Warn, says).fix("install the kernel's package of modules");
    }
    let (with, without): (Vec<_>, Vec<_>) = kind.more.iter().partition(|(module, _)| has(module));
    let names = |list: Vec<&(&str, &str)>| list.iter().map(|(_, what)| *what).collect::<Vec<_>>().join(", ");
    let mut says = "can be had".to_owned();
    if !with.is_empty() {
        says += &format!(", with {}", names(with));
    }
    if !without.is_empty() {
        says += &format!("; not: {}", names(without));
    }
    Finding::new(kind.about, Level::Ok, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_kind_is_had_with_what_the_kernel_has() {
        let fake = FakeRoot::host();
        fake.write("proc/sys/kernel/osrelease", "6.12.1\n");
        let says = |fake: &FakeRoot| -> Vec<String> {
            findings(fake.root()).into_iter().map(|finding| finding.says).collect()
        };
        assert_eq!(says(&fake)[0], "cannot be had: this kernel lacks dm_mod and loop");
        let list = "kernel/drivers/md/dm-mod.ko.xz:\nkernel/drivers/md/dm-thin-pool.ko.xz: kernel/drivers/md/dm-mod.ko.xz\n\
                    kernel/drivers/md/dm-crypt.ko.xz:\n";
        fake.write("lib/modules/6.12.1/modules.dep", list);
        let expected = "can be had, with encryption; not: pools in files, moving to another disk in use";
        let [no_loop, no_zram] = ["loop", "zram"].map(|it| format!("cannot be had: this kernel lacks {it}"));
        assert_eq!(says(&fake), [&no_loop, &no_zram, expected]);
        fake.write("lib/modules/6.12.1/modules.builtin", "kernel/drivers/block/loop.ko\n");
        assert_eq!(says(&fake)[0], "can be had");
        fake.write("sys/module/zram/parameters/num_devices", "0\n");
        assert_eq!(says(&fake)[1], "can be had");
        fake.remove("lib/modules/6.12.1/modules.builtin");
        assert_eq!(says(&fake)[0], "can be had over zram alone: this kernel lacks loop");
    }
}
