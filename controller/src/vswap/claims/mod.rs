//! Who names a device for its own use while it is not in use: `/etc/fstab`, `/etc/crypttab`, systemd's `.swap` and `.mount`
//! units, and the place a hibernated system is resumed from. The next boot would look for what is there now.
//!
//! A device is looked for under all of its names: its number, the kernel's name, the links that udev noted for it, its uuids
//! and labels; so links need not be visible to this process. Reading the files is `files.rs`'s. Caller: `prepare.rs`.

use std::collections::BTreeSet;
use std::path::Path;

use super::blkid::Sign;
use super::found::DeviceNumber;
use super::in_use::{Node, number_in};
use crate::root::Root;
use files::{Claim, all, read};

mod files;

/// Links are followed so often.
const LINKS: usize = 8;

/// Nobody names the device at `path`, whose signatures are `signs`. `target` is `None` while there is nothing.
///
/// # Errors
/// Who names it, and what to do about that; a file that cannot be read.
pub(super) fn require_unclaimed(
    root: &Root,
    path: &Path,
    target: Option<Node>,
    signs: &[Sign],
) -> Result<(), String> {
    let names = Names::of(root, path, target, signs)?;
    let claims: Vec<Claim> = all(root)?.into_iter().filter(|claim| names.has(root, &claim.device)).collect();
    if claims.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = claims.iter().map(|claim| format!("{} (`{}`)", claim.by, claim.device)).collect();
    Err(format!(
        "is named by {}: the next boot would look there for what is on it now. Take it out of there first, then \
         `systemctl daemon-reload`",
        said.join(" and by ")
    ))
}

/// Everything a device or a file is called.
#[derive(Debug, Default)]
struct Names {
    targets: Vec<Node>,
    paths: BTreeSet<String>,
    /// Tags as fstab has them, `UUID=…`; values in lower case where case means nothing.
    tags: BTreeSet<String>,
}

impl Names {
    fn of(root: &Root, path: &Path, target: Option<Node>, signs: &[Sign]) -> Result<Names, String> {
        let mut names = Names::default();
        names.targets.extend(target);
        names.paths.insert(path.to_string_lossy().into_owned());
        for sign in signs {
            // A table's uuid is the disk's, which no tag of fstab's names.
            names.tag("UUID", sign.uuid.as_deref().filter(|_| !sign.is_table));
            names.tag("LABEL", sign.label.as_deref());
        }
        if let Some(Node::Block(number)) = target {
            names.of_kernel(root, number)?;
            names.of_udev(root, number)?;
        }
        Ok(names)
    }

    fn tag(&mut self, tag: &str, value: Option<&str>) {
        self.tags.extend(value.map(|value| tag_of(tag, value)));
    }

    fn of_kernel(&mut self, root: &Root, number: DeviceNumber) -> Result<(), String> {
        let entry = format!("sys/dev/block/{number}");
        for line in read(root, &format!("{entry}/uevent"))?.lines() {
            match line.split_once('=') {
                Some(("DEVNAME", name)) => drop(self.paths.insert(format!("/dev/{name}"))),
                Some(("PARTUUID", uuid)) => self.tag("PARTUUID", Some(uuid)),
                Some(("PARTNAME", name)) => self.tag("PARTLABEL", Some(name)),
                _ => {}
            }
        }
        let name = read(root, &format!("{entry}/dm/name"))?;
        if !name.is_empty() {
            self.paths.insert(format!("/dev/mapper/{}", name.trim_end_matches('\n')));
        }
        Ok(())
    }

    fn of_udev(&mut self, root: &Root, number: DeviceNumber) -> Result<(), String> {
        for line in read(root, &format!("run/udev/data/b{number}"))?.lines() {
            if let Some(link) = line.strip_prefix("S:") {
                self.paths.insert(format!("/dev/{link}"));
            }
            match line.strip_prefix("E:").and_then(|line| line.split_once('=')) {
                Some(("ID_FS_UUID", uuid)) => self.tag("UUID", Some(uuid)),
                Some(("ID_FS_LABEL", label)) => self.tag("LABEL", Some(label)),
                Some(("ID_PART_ENTRY_UUID", uuid)) => self.tag("PARTUUID", Some(uuid)),
                Some(("ID_PART_ENTRY_NAME", name)) => self.tag("PARTLABEL", Some(name)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether `device`, as a file names one, is this one.
    fn has(&self, root: &Root, device: &str) -> bool {
        if let Some((tag, value)) = device.split_once('=').filter(|_| !device.starts_with('/')) {
            let value = value.trim_matches('"');
            if self.tags.contains(&tag_of(tag, value)) {
                return true;
            }
            let folder = format!("/dev/disk/by-{}", tag.to_ascii_lowercase());
            return self.is_at(root, &format!("{folder}/{}", udev_name(value)));
        }
        match device.split_once(':') {
            // The kernel takes a number for `resume=`.
            Some((major, minor)) if !device.starts_with('/') => {
                let number = || Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? });
                number().is_some_and(|number| self.targets.contains(&Node::Block(number)))
            }
            _ => device.starts_with('/') && self.is_at(root, device),
        }
    }

    fn is_at(&self, root: &Root, path: &str) -> bool {
        if self.paths.contains(path) {
            return true;
        }
        let (node, by_name) = resolve(root, path);
        [node, by_name].into_iter().flatten().any(|target| self.targets.contains(&target))
    }
}

/// What is at `path`: the node or file itself, and the device that the kernel calls so. A process that sees no nodes may still
/// see links to them.
fn resolve(root: &Root, path: &str) -> (Option<Node>, Option<Node>) {
    let node = Node::at(&root.host_path(path)).filter(|_| root.is_system());
    let node = node.or_else(|| {
        let file = root.open(path, rustix::fs::OFlags::PATH).ok()?;
        Node::of(&file.into()).ok()
    });
    let mut at = path.trim_start_matches('/').to_owned();
    for _ in 0..LINKS {
        let Some(target) = root.inspect(&at).ok().and_then(|(_, target)| target) else { break };
        at = joined(&at, &target);
    }
    let name = at.strip_prefix("dev/").map(|name| name.replace('/', "!"));
    let by_name = name.and_then(|name| number_in(root, &format!("sys/class/block/{name}/dev")));
    (node, by_name.map(Node::Block))
}

/// Where a link at `at` leads.
fn joined(at: &str, target: &str) -> String {
    if let Some(whole) = target.strip_prefix('/') {
        return whole.to_owned();
    }
    let mut parts: Vec<&str> = at.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Case means nothing in a uuid, but in a label.
fn tag_of(tag: &str, value: &str) -> String {
    let value = if tag.ends_with("UUID") { value.to_ascii_lowercase() } else { value.to_owned() };
    format!("{tag}={value}")
}

/// A value as udev writes it in the name of a link.
fn udev_name(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
    value
        .chars()
        .map(|c| if is_plain(c) { c.to_string() } else { format!("\\x{:02x}", u32::from(c)) })
        .collect()
}

/// A file's text; what is not UTF-8 in it is no name that could be compared.
fn lossy(root: &Root, file: &str) -> crate::root::Result<String> {
    let mut bytes = Vec::new();
    root.read_into(file, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
