//! `/proc/swaps`: the swap areas that are on, each with what tells it from all others. The file is bytes: a name in it is
//! whatever somebody called a file, and what cannot be made out is an area of which nothing is known.
//!
//! What is under an area is `vswap/under.rs`'s to say.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use swaptier_policies::{Bytes, path::text::shown};

use super::SenseError;
use crate::root::{Identity, Root};

/// One line of `/proc/swaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapArea {
    /// The device or file, as the kernel names it for this process: in its mount namespace that may be nothing, or something
    /// else.
    pub path: PathBuf,
    /// `partition` or `file`, as the kernel says; on a kernel that has them also `ghost`.
    pub kind: String,
    /// Size without the header page.
    pub size: Bytes,
    /// Bytes of slots in use: *original*, whether or not the pages are on the device.
    pub used: Bytes,
    /// Higher is used first.
    pub priority: i32,
    /// What it is. `None`: that cannot be told from here.
    pub identity: Option<Identity>,
}

impl SwapArea {
    /// Its name for people: what is no text is escaped.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(self.path.as_os_str().as_bytes()).into_owned()
    }

    /// Whether its name is that of a zram device.
    #[must_use]
    pub fn is_zram(&self) -> bool {
        let name = self.path.file_name().map(|name| name.as_bytes()).unwrap_or_default();
        let number = name.strip_prefix(b"zram");
        number.is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
    }
}

/// Reads `/proc/swaps`: the areas in use, in the kernel's order.
pub fn read(root: &Root) -> Result<Vec<SwapArea>, SenseError> {
    let mut text = Vec::new();
    root.read_into("proc/swaps", &mut text)?;
    let mut areas = parse(&text);
    for area in &mut areas {
        area.identity = identify(root, area);
    }
    Ok(areas)
}

/// The bytes of `/proc/swaps`, before it is looked at what they name. A line that is not what the kernel prints is an area
/// of which nothing is known, and that everything may go to first.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<SwapArea> {
    // The first line is the heading.
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    lines.map(|line| parse_line(line).unwrap_or_else(|| unknown(line))).collect()
}

fn parse_line(line: &[u8]) -> Option<SwapArea> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let path = unescaped(words.next()?);
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let kind = word()?.to_owned();
    let mut kib = || word()?.parse::<u64>().ok()?.checked_mul(1024).map(Bytes);
    let (size, used) = (kib()?, kib()?);
    let priority = word()?.parse().ok()?;
    let path = PathBuf::from(OsString::from_vec(path));
    Some(SwapArea { path, kind, size, used, priority, identity: None })
}

fn unknown(line: &[u8]) -> SwapArea {
    let path = PathBuf::from(OsString::from_vec(line.to_vec()));
    let (size, used, priority) = (Bytes(0), Bytes(0), i32::MAX);
    SwapArea { path, kind: String::new(), size, used, priority, identity: None }
}

/// The kernel prints space, tab, newline and backslash of a name as three octal digits.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        let octal =
            tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        let value =
            octal.map(|digits| digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn identify(root: &Root, area: &SwapArea) -> Option<Identity> {
    match area.kind.as_str() {
        "partition" => root.device_called(&area.path).map(Identity::Device),
        "" => None,
        _ => root.identity(&area.path).map(|(it, _)| it).filter(|it| matches!(it, Identity::File { .. })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use crate::root::DeviceNumber;

    const HEAD: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    #[test]
    fn names_are_bytes_and_the_kernels_octal_digits_are_read() {
        let mut text = HEAD.as_bytes().to_vec();
        text.extend(b"/dev/vda                                partition\t1048572\t\t12288\t\t-2\n");
        text.extend(b"/swap\\040file\\134x\\0111\\9                file\t\t4\t\t0\t\t5\n");
        text.extend(b"/caf\xe9\\012\\777                      file\t\t8\t\t4\t\t1\n");
        let areas = parse(&text);
        let vda = SwapArea {
            path: "/dev/vda".into(),
            kind: "partition".into(),
            size: Bytes(1_048_572 * 1024),
            used: Bytes(12_288 * 1024),
            priority: -2,
            identity: None,
        };
        assert_eq!(areas[0], vda);
        assert_eq!(
            (areas[1].path.as_os_str().as_bytes(), areas[1].priority),
            (&b"/swap file\\x\t1\\9"[..], 5)
        );
        // 0o777 is no byte: it is left as it stands.
        assert_eq!(areas[2].path.as_os_str().as_bytes(), b"/caf\xe9\n\\777");
        assert_eq!((areas[2].shown().as_str(), areas[2].used), ("/caf\\xe9\\x0a\\777", Bytes(4096)));
    }

    #[test]
    fn a_line_that_is_not_the_kernels_is_an_area_that_comes_first_and_is_not_known() {
        for line in [
            "/dev/vda partition 12",
            "/dev/vda partition x 0 -2",
            "/dev/vda",
            "/dev/vda partition 99999999999999999999 0 1",
        ] {
            let areas = parse(format!("{HEAD}/dev/vdb partition 8 0 -2\n{line}\n").as_bytes());
            assert_eq!((areas.len(), areas[1].shown().as_str(), areas[1].kind.as_str()), (2, line, ""));
            assert_eq!((areas[1].priority, areas[1].identity), (i32::MAX, None));
        }
        assert_eq!(parse(HEAD.as_bytes()), []);
        assert_eq!(parse(b""), []);
    }

    #[test]
    fn an_area_is_known_by_its_number_or_its_inode_however_it_is_spelled() {
        let fake = FakeRoot::host();
        fake.block("dm-3", "253:3");
        fake.write("swap/file", "x");
        let lines =
            "/dm-3 partition 8 0 1\n/swap/file file 8 0 2\n/gone file 8 0 3\n/dev/vdz partition 8 0 4\n";
        fake.write("proc/swaps", &format!("{HEAD}{lines}"));
        let found: Vec<_> = read(fake.root()).unwrap().into_iter().map(|area| area.identity).collect();
        assert_eq!(found[0], Some(Identity::Device(DeviceNumber { major: 253, minor: 3 })));
        assert_eq!(found[1], fake.root().identity(std::path::Path::new("/swap/file")).map(|(it, _)| it));
        assert_eq!((found[1].is_some(), found[2], found[3]), (true, None, None));
    }

    #[test]
    fn a_zram_device_is_known_by_its_name() {
        let area = |path: &str| SwapArea { path: path.into(), ..parse(b"\n/a partition 8 0 1").remove(0) };
        assert!(area("/dev/zram1").is_zram());
        assert!(!area("/dev/zram").is_zram() && !area("/zramdisk").is_zram());
    }
}
