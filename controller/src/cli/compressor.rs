//! Whether this kernel has a compressor: in use, as a module, or not at all. zswap takes no name that it has not, and goes on
//! with the one before. Only looks. Callers: `doctor`, `check --host`.

use crate::{root::Root, vswap::modules::Modules};

/// What the kernel has registered, in blocks of `name : value`.
const REGISTERED: &str = "proc/crypto";
/// Those that zswap can be built for.
const KNOWN: [&str; 7] = ["lzo", "lzo-rle", "lz4", "lz4hc", "zstd", "deflate", "842"];

/// Where a compressor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compressor {
    /// The kernel has it now.
    Registered,
    /// There is a module of that name, which the kernel loads when it is asked for.
    Module,
    /// Neither.
    Missing,
}

impl Compressor {
    pub(super) fn of(root: &Root, name: &str) -> Compressor {
        match (is_registered(root, name), Modules::read(root).has(&name.replace('-', "_"))) {
            (true, _) => Compressor::Registered,
            (false, true) => Compressor::Module,
            (false, false) => Compressor::Missing,
        }
    }
}

/// Why the kernel cannot have the compressor `name`, and what to do.
pub(super) fn missing(root: &Root, name: &str) -> Option<(String, String)> {
    if Compressor::of(root, name) != Compressor::Missing {
        return None;
    }
    let has = |other: &&str| Compressor::of(root, other) != Compressor::Missing;
    let others: Vec<&str> = KNOWN.iter().copied().filter(has).collect();
    let instead = match others.is_empty() {
        true => String::new(),
        false => format!(", or name one that it has: {}", others.join(", ")),
    };
    let says = format!("this kernel has no compressor {name}: neither in /proc/crypto nor as a module");
    Some((says, format!("install the module (`modprobe crypto-{name}` loads it){instead}")))
}

/// Under its name, or under that of one implementation.
fn is_registered(root: &Root, name: &str) -> bool {
    let text = root.read_lossy(REGISTERED).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(key, _)| matches!(key.trim(), "name" | "driver")).any(|(_, value)| value.trim() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_compressor_is_registered_or_a_module_or_missing() {
        let fake = FakeRoot::host();
        fake.write("proc/sys/kernel/osrelease", "6.12.1\n");
        fake.write("proc/crypto", "name         : lzo\ndriver       : lzo-scomp\ntype         : scomp\n\n");
        fake.write(
            "lib/modules/6.12.1/modules.dep",
            "kernel/crypto/lzo-rle.ko.xz:\nkernel/crypto/zstd.ko.xz:\n",
        );
        fake.write("lib/modules/6.12.1/modules.builtin", "kernel/crypto/842.ko\n");
        let of = |name| Compressor::of(fake.root(), name);
        assert_eq!((of("lzo"), of("lzo-scomp")), (Compressor::Registered, Compressor::Registered));
        assert_eq!(
            (of("lzo-rle"), of("zstd"), of("842")),
            (Compressor::Module, Compressor::Module, Compressor::Module)
        );
        assert_eq!((of("scomp"), of("lz4")), (Compressor::Missing, Compressor::Missing));
        assert_eq!(missing(fake.root(), "zstd"), None);
        let (says, fix) = missing(fake.root(), "lz4").unwrap();
        assert!(says.starts_with("this kernel has no compressor lz4: "), "{says}");
        assert!(
            fix.contains("`modprobe crypto-lz4`") && fix.ends_with("that it has: lzo, lzo-rle, zstd, 842"),
            "{fix}"
        );
    }
}
