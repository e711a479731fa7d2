//! Addresses of the kernel's symbols, from `/proc/kallsyms`: some 200,000 lines, which the kernel writes anew for each
//! reader. Callers: `load` and `timer`; `probe` and the agent's areas ask whether a symbol is there.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    sync::OnceLock,
};

use super::HookError;
use crate::root::Root;

/// What zswap keeps of its own (mm/zswap.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zswap {
    /// `zswap_list_lru`, the list of its entries.
    pub(crate) list: u64,
    /// `zswap_trees`, its entries by area and slot; 0 on a kernel that keeps them otherwise.
    pub(crate) trees: u64,
}

/// The addresses in the kernel that runs; looked for until they are found.
///
/// # Errors
/// They are hidden, or this kernel has no zswap.
pub(crate) fn zswap() -> Result<Zswap, HookError> {
    static KNOWN: OnceLock<Zswap> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let system = Root::system().map_err(|_no_root| HookError::Symbol)?;
    let [list, trees] = addresses(&system, ["zswap_list_lru", "zswap_trees"]);
    let found = Zswap { list: list.ok_or(HookError::Symbol)?, trees: trees.unwrap_or(0) };
    Ok(*KNOWN.get_or_init(|| found))
}

/// Where these symbols are; `None` where the kernel hides addresses, too.
pub(crate) fn addresses<const N: usize>(root: &Root, wanted: [&str; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    let Ok(file) = File::open(root.host_path("proc/kallsyms")) else { return found };
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        if let Some(nth) = wanted.iter().position(|wanted| name(&line) == wanted.as_bytes()) {
            found[nth] = found[nth].or(address(&line));
            if found.iter().all(Option::is_some) {
                break;
            }
        }
    }
    found
}

/// The address at the beginning of a line; hidden ones are 0.
fn address(line: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(line.split(u8::is_ascii_whitespace).next()?).ok()?;
    u64::from_str_radix(digits, 16).ok().filter(|address| *address != 0)
}

/// The name in `ffffffffb1234560 b name`, which `[module]` may follow.
fn name(line: &[u8]) -> &[u8] {
    line.split(u8::is_ascii_whitespace).nth(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_hidden_address_is_no_address() {
        let fake = FakeRoot::empty();
        for (shown, expected) in [
            ("ffffffffa0000000 t other\nffffffffb1234560 b it\n", Some(0xffff_ffff_b123_4560)),
            ("ffffffffb1234560 b it\t[zswap]\n", Some(0xffff_ffff_b123_4560)),
            ("0000000000000000 b it\nffffffffb1234560 T it_too\n", None),
            ("it\n\n", None),
        ] {
            fake.write("proc/kallsyms", shown);
            assert_eq!(addresses(fake.root(), ["it"]), [expected], "{shown}");
        }
        assert_eq!(addresses(FakeRoot::empty().root(), ["it"]), [None]);
    }

    #[test]
    fn what_is_not_there_hides_nothing_else() {
        let fake = FakeRoot::empty();
        fake.write("proc/kallsyms", "ffffffffa0000010 b second\nffffffffa0000000 b first\n");
        let found = addresses(fake.root(), ["first", "third", "second"]);
        assert_eq!(found, [Some(0xffff_ffff_a000_0000), None, Some(0xffff_ffff_a000_0010)]);
    }
}
