//! The map between two agents of one service. A stopping agent does not know whether a next one follows; its service manager
//! does. So all that is pinned goes to the manager's store of descriptors (systemd: `FileDescriptorStoreMax=`), which keeps
//! it while the service is restarted and drops it when the service is stopped. A dropped link is a detached probe: off is
//! off, and a restart loses nothing, for the probes go on in between.
//!
//! A descriptor's name in the store is the pin's path below the folder of all pins.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
};
use sd_notify::NotifyState;

use crate::fault;

/// `BPF_OBJ_PIN` and `BPF_OBJ_GET` (include/uapi/linux/bpf.h).
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;

/// How long the manager may take to look at what it was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where pins are made anew, before all of them take their place at once.
pub(super) const TAKING: &str = "taking";

/// Gives every pin below this folder to the service manager; returns how many. The pins stay. 0: there is no manager.
///
/// # Errors
/// A pin cannot be opened, or the manager does not answer. It may have some of them then.
pub fn give(home: &Path) -> io::Result<usize> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(0);
    }
    let pins = pins_below(home, home)?;
    for pin in &pins {
        let object = open(&home.join(pin))?;
        let name = pin.to_string_lossy();
        // Nothing is to be read from them, and some say so to who asks: that is no reason to drop them.
        let message = [NotifyState::FdStore, NotifyState::FdName(&name), NotifyState::Custom("FDPOLL=0")];
        sd_notify::notify_with_fds(&message, &[object.as_fd()])?;
        fault::point("handover.given");
    }
    await_manager()?;
    fault::point("handover.kept");
    Ok(pins.len())
}

/// Pins again what an agent before this one gave to the service manager, and has it dropped there. Whatever is pinned
/// already is newer. Returns how many pins were made.
///
/// # Errors
/// The pins cannot be made; none is left of them.
pub fn take(home: &Path) -> io::Result<usize> {
    let stored: Vec<(OwnedFd, PathBuf)> = sd_notify::listen_fds_with_names()?
        // SAFETY: the manager gave them to this process, and nobody else here asks for them.
        .map(|(fd, name)| (unsafe { OwnedFd::from_raw_fd(fd) }, PathBuf::from(name)))
        .collect();
    if stored.is_empty() {
        return Ok(0);
    }
    let taken = if is_empty(home) { pin_all(home, &stored) } else { Ok(0) };
    fault::point("handover.taken");
    for (_, name) in &stored {
        let name = name.to_string_lossy();
        sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)])?;
    }
    await_manager()?;
    fault::point("handover.dropped");
    taken
}

fn pin_all(home: &Path, stored: &[(OwnedFd, PathBuf)]) -> io::Result<usize> {
    let taking = home.join(TAKING);
    let made = stored.iter().filter(|(_, name)| is_pin(name)).try_fold(
        0,
        |made, (object, name)| -> io::Result<usize> {
            let path = taking.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            pin(object, &path)?;
            fault::point("handover.pinned");
            Ok(made + 1)
        },
    );
    let moved = made.and_then(|made| {
        for folder in fs::read_dir(&taking)? {
            let folder = folder?;
            fs::rename(folder.path(), home.join(folder.file_name()))?;
        }
        Ok(made)
    });
    let _not_made = fs::remove_dir_all(&taking);
    moved
}

/// Whether nothing is pinned. What was begun by one who died in it is removed.
fn is_empty(home: &Path) -> bool {
    let _not_there = fs::remove_dir_all(home.join(TAKING));
    fs::read_dir(home).map_or(true, |mut entries| entries.next().is_none())
}

/// Whether a name from the store can be one of ours: it leads down from the folder of all pins.
fn is_pin(name: &Path) -> bool {
    name.components().count() > 1 && name.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Every pin below this folder, by its path from `home`.
fn pins_below(home: &Path, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pins = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        if entry?.is_dir() {
            pins.extend(pins_below(home, &path)?);
        } else if let Ok(below) = path.strip_prefix(home) {
            pins.push(below.to_owned());
        }
    }
    Ok(pins)
}

/// Waits until the manager has looked at all it was sent: it closes the descriptor that comes last.
fn await_manager() -> io::Result<()> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()])?;
    drop(theirs);
    let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&ours, PollFlags::empty())], Some(&limit))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the service manager does not answer")),
        _ => Ok(()),
    }
}

/// The part of `union bpf_attr` for pins.
#[repr(C)]
struct ObjectAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let fd = object(OBJ_GET, path, 0)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pin(object_fd: &OwnedFd, path: &Path) -> io::Result<()> {
    object(OBJ_PIN, path, object_fd.as_raw_fd()).map(drop)
}

fn object(command: libc::c_long, path: &Path, fd: i32) -> io::Result<i32> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = ObjectAttr { path: path.as_ptr() as u64, fd: fd as u32, flags: 0 };
    // SAFETY: the kernel reads the attribute and the path, which both outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attr, size_of::<ObjectAttr>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_the_store_leads_nowhere_else() {
        assert!(is_pin(Path::new("v5/links-0/zswap_load-1")));
        for other in ["v5", "/v5/CONTROL", "v5/../../x", "", "stored"] {
            assert!(!is_pin(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn pins_are_named_from_the_folder_of_all() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("v5/links-0")).expect("made");
        fs::write(dir.path().join("v5/CONTROL"), "").expect("written");
        fs::write(dir.path().join("v5/links-0/a-0"), "").expect("written");
        let mut pins = pins_below(dir.path(), dir.path()).expect("listed");
        pins.sort();
        assert_eq!(pins, [Path::new("v5/CONTROL"), Path::new("v5/links-0/a-0")]);
    }

    #[test]
    fn what_a_dead_one_began_to_take_is_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("taking/v5")).expect("made");
        assert!(is_empty(dir.path()));
        fs::create_dir(dir.path().join("v5")).expect("made");
        assert!(!is_empty(dir.path()));
    }
}
