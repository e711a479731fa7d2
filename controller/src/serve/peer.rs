//! Who is at the other end of a connection, and what that allows. The kernel says who; `may` decides, and is pure.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::root::Root;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Nothing at all.
    None,
    /// All that changes nothing.
    Look,
    /// Everything.
    Act,
}

/// A process, as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Its further groups.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Whoever has connected this socket, as it was then.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn of(socket: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<Peer> {
        Ok(Peer { uid, gid, groups: groups(socket)? })
    }

    /// Root and the agent's own user may act, members of `readers` may look, nobody else may do anything.
    #[must_use]
    pub fn may(&self, own_uid: u32, readers: Option<u32>) -> Rights {
        let is_in = |group: u32| self.gid == group || self.groups.contains(&group);
        if self.uid == 0 || self.uid == own_uid {
            Rights::Act
        } else if readers.is_some_and(is_in) {
            Rights::Look
        } else {
            Rights::None
        }
    }
}

/// The further groups of a socket's peer (`SO_PEERGROUPS`, Linux 4.13 on).
fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // More than nearly anybody has; the kernel says how many it takes where that is too few.
    let mut groups = vec![0u32; 64];
    loop {
        let mut bytes = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: the buffer has as many bytes as the length says, and both live until the call returns.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let wanted = bytes as usize / size_of::<u32>();
        if failed == 0 {
            groups.truncate(wanted);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || wanted <= groups.len() {
            return Err(error);
        }
        groups.resize(wanted, 0);
    }
}

/// The number of a group: `/etc/group` first, then whatever else this host asks for names. `None`: there is none.
#[must_use]
pub fn group(root: &Root, name: &str) -> Option<u32> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    let in_file = root.read_lossy("etc/group").ok().and_then(|text| text.lines().find_map(of_line));
    let elsewhere = || root.is_system().then(|| uzers::get_group_by_name(name)).flatten().map(|it| it.gid());
    in_file.or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::fake::FakeRoot;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Peer {
        Peer { uid, gid, groups: groups.into() }
    }

    #[test]
    fn root_acts_the_group_looks_and_others_do_nothing() {
        let readers = Some(990);
        assert_eq!(peer(0, 0, &[]).may(0, None), Rights::Act);
        assert_eq!(peer(1000, 1000, &[27, 990]).may(0, readers), Rights::Look);
        assert_eq!(peer(1000, 990, &[]).may(0, readers), Rights::Look);
        assert_eq!(peer(1000, 1000, &[27]).may(0, readers), Rights::None);
        // Without a group nobody but root has a say, and group 0 is no way around it.
        assert_eq!(peer(1000, 0, &[0]).may(0, None), Rights::None);
    }

    #[test]
    fn an_agent_that_is_not_root_obeys_its_own_user() {
        assert_eq!(peer(1000, 1000, &[]).may(1000, None), Rights::Act);
        assert_eq!(peer(0, 0, &[]).may(1000, None), Rights::Act);
    }

    #[test]
    fn the_kernel_names_the_groups_of_a_peer() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut own: Vec<u32> =
            rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        let mut told = groups(one.as_fd()).unwrap();
        own.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, own);
    }

    #[test]
    fn a_group_is_looked_up_by_its_whole_name() {
        let fake = FakeRoot::host();
        fake.write("etc/group", "root:x:0:\nswap:x:12:a,b\nswaptier:x:990:\nbroken:x:many:\n");
        assert_eq!(group(fake.root(), "swaptier"), Some(990));
        assert_eq!(group(fake.root(), "swap"), Some(12));
        for name in ["swapt", "broken", "", "nobody"] {
            assert_eq!(group(fake.root(), name), None, "{name}");
        }
    }
}
