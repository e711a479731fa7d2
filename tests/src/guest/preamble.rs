//! Is this a guest, and can it do what the tests need? Asked before anything is changed; no test skips itself.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::kernel;

/// The command of a lab guest lies here: xtask's init runs it.
const COMMAND: &str = "/etc/guest/command";
/// What the lab tells the kernel of an installed system (xtask's guest/mod.rs).
const HOST: &str = "swaptier-lab-host";
/// Disk for swap.
pub const SWAP_DISK: &str = "/dev/vda";
/// Disk for files: its beginning is overwritten.
pub const SCRATCH_DISK: &str = "/dev/vdb";
/// A disk for a second swap area.
pub const SECOND_SWAP_DISK: &str = "/dev/vdc";

/// Magic numbers of file systems (linux/magic.h). The root of a guest is its initramfs: one of the first two.
const RAMFS: u64 = 0x8584_58f6;
const TMPFS: u64 = 0x0102_1994;
const DEBUGFS: u64 = 0x6462_6720;
const BPFFS: u64 = 0xcafe_4a11;

/// Refuses to go on anywhere but in a lab guest: everything that follows writes disks and kernel settings.
///
/// # Errors
/// On any other machine.
pub fn require_guest() -> Result<()> {
    let root = rustix::fs::statfs("/").context("statfs /")?;
    let in_memory = [RAMFS, TMPFS].contains(&(root.f_type as u64));
    if !in_memory || !Path::new(COMMAND).exists() {
        bail!(
            "this is no lab guest: run it with `cargo xtask vm`, it would overwrite disks and kernel settings here"
        );
    }
    Ok(())
}

/// The same for an installed system that the lab has booted: its kernel was told by the lab.
///
/// # Errors
/// On any other machine.
pub fn require_host() -> Result<()> {
    let is_told = kernel::read("/proc/cmdline")?.split_ascii_whitespace().any(|word| word == HOST);
    if !is_told || !Path::new(COMMAND).exists() {
        bail!("this is no host of the lab: run it with `cargo xtask test`, it would change the system here")
    }
    Ok(())
}

/// Everything the guest must offer, all of what is missing at once.
///
/// # Errors
/// A list of what this guest cannot do.
pub fn check() -> Result<()> {
    require_guest()?;
    let mut missing = Vec::new();
    let mut need = |ok: bool, what: &str| {
        if !ok {
            missing.push(what.to_owned());
        }
    };
    let exists = |path: &str| Path::new(path).exists();
    let controllers = kernel::read("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    need(
        controllers.split(' ').any(|c| c == "memory"),
        "cgroup v2 with the memory controller at /sys/fs/cgroup",
    );
    need(exists("/sys/module/zswap/parameters/enabled"), "zswap (CONFIG_ZSWAP)");
    // zswap makes its own folder there when it is first turned on.
    need(is_mounted("/sys/kernel/debug", DEBUGFS), "debugfs at /sys/kernel/debug");
    need(exists(SWAP_DISK), "a disk for swap, /dev/vda");
    need(exists("/sys/kernel/btf/vmlinux"), "the kernel's types (BTF) at /sys/kernel/btf/vmlinux");
    need(is_mounted("/sys/fs/bpf", BPFFS), "bpffs at /sys/fs/bpf");
    need(bpf_works(), "bpf(2): creating a map is refused");
    need(
        kernel::swaps().is_ok_and(|s| s.is_empty()),
        "a start without swap areas (/proc/swaps is not empty)",
    );
    if missing.is_empty() {
        return Ok(());
    }
    bail!("kernel {} as booted here lacks:\n  - {}", kernel::release(), missing.join("\n  - "))
}

/// Whether zswap is a backend of frontswap here, as it was before Linux 6.7: such a kernel swaptier must refuse.
///
/// # Errors
/// When the kernel's symbols cannot be read.
pub fn is_before_our_kernels() -> Result<bool> {
    has_symbol("__frontswap_store")
}

/// Whether each processor keeps some freed slots for itself here, as it did before Linux 6.15 (mm/swap_slots.c): they are in
/// use for the kernel, and their clusters are not discarded.
///
/// # Errors
/// When the kernel's symbols cannot be read.
pub fn has_slot_caches() -> Result<bool> {
    has_symbol("free_swap_slot")
}

fn has_symbol(name: &str) -> Result<bool> {
    let is_it = |line: &str| line.split_ascii_whitespace().nth(2) == Some(name);
    Ok(kernel::read("/proc/kallsyms")?.lines().any(is_it))
}

fn is_mounted(path: &str, magic: u64) -> bool {
    rustix::fs::statfs(path).is_ok_and(|fs| fs.f_type as u64 == magic)
}

/// Creates an array map of one word and closes it again.
fn bpf_works() -> bool {
    const BPF_MAP_CREATE: libc::c_long = 0;
    /// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`.
    #[repr(C)]
    struct Create {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    const ARRAY: u32 = 2;
    let create = Create { map_type: ARRAY, key_size: 4, value_size: 8, max_entries: 1 };
    // SAFETY: bpf(2) reads `size_of::<Create>()` bytes; shorter attributes than the kernel's are allowed.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, &raw const create, size_of::<Create>()) };
    if fd < 0 {
        return false;
    }
    // SAFETY: the descriptor was just made and is used nowhere else.
    unsafe { libc::close(fd as i32) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_developers_machine_is_no_guest() {
        assert!(require_guest().unwrap_err().to_string().contains("no lab guest"));
        assert!(require_host().unwrap_err().to_string().contains("no host of the lab"));
    }
}
