//! Addresses of the kernel's symbols, from `/proc/kallsyms`: some 200,000 lines, which the kernel writes anew for each
//! reader. Callers: `load` and `timer`; `probe` and the agent's areas ask whether a symbol is there.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    sync::OnceLock,
};

use super::HookError;
use crate::root::Root;

/// The address of zswap's list of entries (mm/zswap.c) in the kernel that runs; looked for until it is found.
///
/// # Errors
/// It is hidden, or this kernel has no zswap.
pub(crate) fn zswap_list_lru() -> Result<u64, HookError> {
    static ADDRESS: OnceLock<u64> = OnceLock::new();
    if let Some(known) = ADDRESS.get() {
        return Ok(*known);
    }
    let system = Root::system().map_err(|_no_root| HookError::Symbol)?;
    let address = address(&system, "zswap_list_lru").ok_or(HookError::Symbol)?;
    Ok(*ADDRESS.get_or_init(|| address))
}

/// Where this symbol is; `None` where the kernel hides addresses, too.
pub(crate) fn address(root: &Root, wanted: &str) -> Option<u64> {
    let symbols = BufReader::new(File::open(root.host_path("proc/kallsyms")).ok()?);
    let line = symbols.split(b'\n').map_while(Result::ok).find(|line| name(line) == wanted.as_bytes())?;
    let address = std::str::from_utf8(line.split(u8::is_ascii_whitespace).next()?).ok()?;
    u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)
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
            assert_eq!(address(fake.root(), "it"), expected, "{shown}");
        }
        assert_eq!(address(FakeRoot::empty().root(), "it"), None);
    }
}
