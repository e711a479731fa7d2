//! The files in which devices are named, and the names in them: tables, units of systemd and what is laid over those, places to
//! resume from. Parsing is pure.

use super::super::in_use::{list, untold};
use super::lossy;
use crate::root::Root;

/// Folders of systemd's units, systemd.unit(5), and one of hosts on which `/lib` is no link.
const UNITS: [&str; 13] = [
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];
/// The types of units that name a device in `What=`.
const TYPES: [&str; 2] = ["swap", "mount"];
/// Tables, and the column in which they name a device.
const TABLES: [(&str, usize); 5] = [
    ("etc/fstab", 0),
    ("etc/crypttab", 1),
    ("etc/integritytab", 1),
    ("etc/veritytab", 1),
    ("etc/veritytab", 2),
];
/// Where the initramfs of Debian is told what to resume from.
const RESUME: &str = "etc/initramfs-tools/conf.d/resume";

/// A device that somebody names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Who: file and line, unit, or parameter.
    pub(super) by: String,
    /// What it says: a path, a tag such as `UUID=…`, or a number.
    pub(super) device: String,
}

/// Every device that is named. A file that is not there names none.
///
/// # Errors
/// A file or folder that is there and cannot be read.
pub(super) fn all(root: &Root) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    for (file, column) in TABLES {
        for (line, device) in table(&read(root, file)?, column) {
            claims.push(Claim { by: format!("/{file}:{line}"), device });
        }
    }
    for file in unit_files(root)? {
        let devices = units_devices(&read(root, &file)?);
        claims.extend(devices.into_iter().map(|device| Claim { by: format!("/{file}"), device }));
    }
    for device in resumed(&read(root, "proc/cmdline")?) {
        claims.push(Claim { by: "`resume=` of the kernel's command line".to_owned(), device });
    }
    for line in read(root, RESUME)?.lines().filter_map(|line| line.trim().strip_prefix("RESUME=")) {
        claims.push(Claim { by: format!("/{RESUME}"), device: line.trim_matches('"').to_owned() });
    }
    let number = read(root, "sys/power/resume")?;
    if !matches!(number.trim(), "" | "0:0") {
        claims.push(Claim { by: "/sys/power/resume".to_owned(), device: number.trim().to_owned() });
    }
    Ok(claims)
}

/// The units that may name a device, and what is laid over them: of one unit (`dev-vdb.swap.d`), of all whose names begin alike
/// (`dev-.swap.d`), of a type (`swap.d`). Which of them counts is not asked: each names what it names.
fn unit_files(root: &Root) -> Result<Vec<String>, String> {
    let has_type = |name: &str| TYPES.iter().any(|kind| name.ends_with(&format!(".{kind}")));
    let is_over =
        |name: &str| name.strip_suffix(".d").is_some_and(|name| has_type(name) || TYPES.contains(&name));
    let mut files = Vec::new();
    for folder in UNITS {
        for name in list(root, folder)? {
            let path = format!("{folder}/{name}");
            if has_type(&name) {
                files.push(path);
            } else if is_over(&name) {
                let over = list(root, &path)?.into_iter().filter(|name| name.ends_with(".conf"));
                files.extend(over.map(|name| format!("{path}/{name}")));
            }
        }
    }
    Ok(files)
}

pub(super) fn read(root: &Root, file: &str) -> Result<String, String> {
    match lossy(root, file) {
        Err(error) if error.is_gone() => Ok(String::new()),
        // A unit that is masked is a link to a device that has no bytes.
        read => read.map_err(|error| untold(&error)),
    }
}

/// A column of a table such as fstab, with the number of the line.
fn table(text: &str, column: usize) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    let words =
        lines.filter_map(|(index, line)| Some((index + 1, line.split_ascii_whitespace().nth(column)?)));
    words.map(|(line, word)| (line, unescaped(word))).collect()
}

/// `\040` and the like are single bytes.
fn unescaped(word: &str) -> String {
    let bytes = word.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        out.push(octal.unwrap_or(*byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `What=` of a unit; the last one counts, and all are named here, which refuses too much rather than too little. A line that ends
/// in a backslash goes on in the next.
fn units_devices(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("What"));
    let values = lines.filter_map(|rest| rest.trim_start().strip_prefix('='));
    values.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

/// What the kernel is told to resume from.
fn resumed(cmdline: &str) -> Vec<String> {
    let words =
        cmdline.split_ascii_whitespace().filter_map(|word| word.trim_matches('"').strip_prefix("resume="));
    words.map(|word| word.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_columns() {
        let fstab = "# <file system> <mount point>\n\nUUID=1-2 / ext4 defaults 0 1\n  LABEL=my\\040swap\tnone swap sw 0 0\n";
        assert_eq!(table(fstab, 0), [(3, "UUID=1-2".to_owned()), (4, "LABEL=my swap".to_owned())]);
        assert_eq!(table("s /dev/vdb /dev/urandom swap\nshort\n", 1), [(1, "/dev/vdb".to_owned())]);
        assert_eq!(unescaped("a\\04"), "a\\04");
        assert_eq!(unescaped("\\"), "\\");
    }

    #[test]
    fn a_units_device_and_what_is_resumed_are_found() {
        let unit = "[Unit]\nDescription=x\n[Swap]\nWhat=/dev/disk/by-uuid/1-2\nPriority=3\n";
        assert_eq!(units_devices(unit), ["/dev/disk/by-uuid/1-2"]);
        assert_eq!(units_devices("[Swap]\nWhat =\n  What = /dev/vdb  \nWhatever=1\n"), ["/dev/vdb"]);
        assert_eq!(units_devices("[Swap]\nWhat=\\\n  /dev/vdb\n"), ["/dev/vdb"]);
        assert_eq!(resumed("quiet noresume resume=UUID=1-2 resume_offset=5\n"), ["UUID=1-2"]);
        assert_eq!(resumed("root=LABEL=a \"resume=LABEL=b\""), ["LABEL=b"]);
    }
}
