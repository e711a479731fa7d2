//! Which kernel modules a guest gets: a list of names, closed over dependencies as depmod found them, unpacked once.
//! Names a kernel has built in, or does not have, are skipped. Called by `guest/initramfs.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Kernel;
use crate::paths;

/// What experiments with swap load. virtio_blk is loaded by the guest's init, the rest by need.
const WANTED: [&str; 38] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_console",
    "virtio_rng",
    "sd_mod",
    "scsi_debug",
    "loop",
    "brd",
    "null_blk",
    "zram",
    "dm_mod",
    "dm_thin_pool",
    "dm_flakey",
    "dm_delay",
    "dm_dust",
    "dm_crypt",
    "dm_snapshot",
    "dm_clone",
    "dm_mirror",
    "dm_zero",
    "dm_log_writes",
    "dm_integrity",
    "lz4",
    "lz4hc",
    "lz4_compress",
    "lz4hc_compress",
    "zstd",
    "deflate",
    "842",
    "lzo",
    "xts",
    "zbud",
    "z3fold",
    "zsmalloc",
    "ext4",
    // dm_thin_pool and ext4 reach these two through the alias `crc32c`, which a dependency list does not tell.
    "crc32c_generic",
    "crc32c_intel",
];

/// One module as the guest sees it.
pub(crate) struct Module {
    /// Its file, unpacked.
    pub(crate) file: PathBuf,
    /// Its name with underscores.
    pub(crate) name: String,
    /// Names of the modules it needs, all of them.
    pub(crate) needs: Vec<String>,
}

/// The guest's modules and the alias lines that concern them.
pub(crate) struct Modules {
    /// In order of name.
    pub(crate) modules: Vec<Module>,
    /// `modules.alias`, reduced to these modules: the kernel asks for `crypto-lz4`, not for `lz4`.
    pub(crate) aliases: String,
}

/// Resolves and unpacks the modules for a guest of `kernel`.
pub(crate) fn prepare(kernel: &Kernel) -> Result<Modules> {
    let tree = kernel.modules();
    let table = Table::parse(&read(&tree.join("modules.dep"))?);
    let soft = parse_soft(&fs::read_to_string(tree.join("modules.softdep")).unwrap_or_default());
    let chosen = table.closure(&WANTED, &soft);
    let plain = kernel.dir.join("plain");
    paths::create(&plain)?;
    let mut modules = Vec::new();
    for name in &chosen {
        let (path, needs) = &table.rows[name];
        let file = plain.join(format!("{name}.ko"));
        if !file.exists() {
            unpack(&tree.join(path), &file)?;
        }
        modules.push(Module { file, name: name.clone(), needs: needs.clone() });
    }
    let aliases = read(&tree.join("modules.alias"))?;
    let is_ours = |line: &&str| line.rsplit(' ').next().is_some_and(|name| chosen.contains(&normal(name)));
    let aliases = aliases.lines().filter(is_ours).map(|line| format!("{line}\n")).collect();
    Ok(Modules { modules, aliases })
}

/// `modules.dep`: name → path in the tree, names it needs.
struct Table {
    rows: BTreeMap<String, (String, Vec<String>)>,
}

impl Table {
    fn parse(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(name_of).collect();
            Some((name_of(path), (path.to_owned(), needs)))
        });
        Self { rows: rows.collect() }
    }

    fn closure(&self, wanted: &[&str], soft: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
        let mut chosen = BTreeSet::new();
        let mut open: Vec<String> = wanted.iter().map(|name| normal(name)).collect();
        while let Some(name) = open.pop() {
            let Some((_, needs)) = self.rows.get(&name) else { continue };
            if chosen.insert(name.clone()) {
                open.extend(needs.iter().chain(soft.get(&name).into_iter().flatten()).cloned());
            }
        }
        chosen
    }
}

/// `softdep NAME pre: A B post: C`
fn parse_soft(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.strip_prefix("softdep ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let needs = rest.split_whitespace().filter(|word| !word.ends_with(':')).map(normal);
        table.entry(normal(name)).or_default().extend(needs);
    }
    table
}

/// `kernel/drivers/md/dm-thin-pool.ko.xz` → `dm_thin_pool`
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split(".ko").next().unwrap_or(file))
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn unpack(from: &Path, to: &Path) -> Result<()> {
    let extension = from.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    // Another run may unpack the same at this moment: each its own file, and the last one stays.
    let unfinished = to.with_extension(format!("unfinished-{}", std::process::id()));
    let named = || fs::rename(&unfinished, to).with_context(|| format!("naming {}", to.display()));
    let program = match extension {
        "ko" => {
            fs::copy(from, &unfinished).with_context(|| format!("copying {}", from.display()))?;
            return named();
        }
        "xz" => "xz",
        "zst" => "zstd",
        other => bail!("{}: no way to unpack .{other}", from.display()),
    };
    let output = File::create(&unfinished).with_context(|| format!("writing {}", unfinished.display()))?;
    let status = Command::new(program)
        .arg("-dc")
        .arg(from)
        .stdin(Stdio::null())
        .stdout(output)
        .status()
        .with_context(|| {
            format!("starting {program} (it unpacks the kernel's modules; please install it)")
        })?;
    if !status.success() {
        bail!("{program} could not unpack {}", from.display());
    }
    named()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Table, parse_soft};

    #[test]
    fn the_closure_follows_hard_and_soft_dependencies_and_skips_what_is_built_in() {
        let table = Table::parse(
            "kernel/md/dm-thin-pool.ko.xz: kernel/md/dm-bufio.ko.xz\n\
             kernel/md/dm-bufio.ko.xz:\n\
             kernel/fs/ext4.ko.xz:\n\
             kernel/lib/crc32c_generic.ko.xz:\n\
             kernel/other.ko.xz:\n",
        );
        let soft = parse_soft("# comment\nsoftdep ext4 pre: crc32c-generic post: missing\n");
        let closure: Vec<String> =
            table.closure(&["dm-thin-pool", "ext4", "built_in"], &soft).into_iter().collect();
        assert_eq!(closure, ["crc32c_generic", "dm_bufio", "dm_thin_pool", "ext4"]);
    }
}
