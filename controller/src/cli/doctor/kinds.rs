//! Which kinds of swap areas this host can have, and what is missing for the others. Only looks: whether the kernel takes a
//! file with nothing but a header is asked when a ghost is made.

use crate::{
    probe::{Finding, Level},
    root::Root,
};

/// A kind, the modules it cannot be without, and what more others of them give it.
struct Kind {
    area: &'static str,
    needs: &'static [&'static str],
    more: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 2] = [
    Kind { area: "ghost areas", needs: &["dm_mod", "loop"], more: &[] },
    Kind {
        area: "virtual areas",
        needs: &["dm_mod", "dm_thin_pool"],
        more: &[
            ("loop", "pools in files"),
            ("dm_crypt", "encryption"),
            ("dm_mirror", "moving to another disk in use"),
        ],
    },
];

/// One finding for each kind.
pub(super) fn findings(root: &Root) -> Vec<Finding> {
    let modules = Modules::read(root);
    KINDS.iter().map(|kind| finding(kind, &|module| modules.has(root, module))).collect()
}

fn finding(kind: &Kind, has: &impl Fn(&str) -> bool) -> Finding {
    let lacks: Vec<&str> = kind.needs.iter().copied().filter(|module| !has(module)).collect();
    if !lacks.is_empty() {
        let says = format!("cannot be had: this kernel lacks {}", lacks.join(" and "));
        return Finding::new(kind.area, Level::Warn, says).fix("install the kernel's package of modules");
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
    Finding::new(kind.area, Level::Ok, says)
}

/// The modules a host has on disk or built in.
struct Modules(String);

impl Modules {
    fn read(root: &Root) -> Modules {
        let release = root.read_value("proc/sys/kernel/osrelease").unwrap_or_default();
        let list = |name| root.read(&format!("lib/modules/{release}/{name}")).unwrap_or_default();
        Modules(["modules.dep", "modules.builtin"].map(list).concat().replace('-', "_"))
    }

    fn has(&self, root: &Root, name: &str) -> bool {
        root.exists(&format!("sys/module/{name}")) || self.0.contains(&format!("/{name}.ko"))
    }
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
        assert_eq!(says(&fake), ["cannot be had: this kernel lacks loop", expected]);
        fake.write("lib/modules/6.12.1/modules.builtin", "kernel/drivers/block/loop.ko\n");
        assert_eq!(says(&fake)[0], "can be had");
    }
}
