//! Empties an area: swapoff in a thread of its own while somebody watches, who may call it off. Only begun when memory has
//! room for all of it. The lock of the areas is not held meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaName};
use super::error::{AreaError, Result};
use super::forecast::Forecast;
use super::intended::Want;
use super::operations::Operations;
use super::reconcile::{in_use, place};
use super::swapon;
use crate::fault;
use crate::root::{Identity, Root};
use crate::sense::{procfs, swaps};

/// How often is looked how far it is.
const PAUSE: Duration = Duration::from_millis(200);

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// The area is empty and off.
    Empty,
    /// It was called off: the area is in use as before, less what came back meanwhile.
    CalledOff,
}

/// The way of a drain that was begun.
#[derive(Debug)]
pub struct Drain {
    /// What will come back.
    pub forecast: Forecast,
    paths: Vec<PathBuf>,
    /// Their blocks are a pool's.
    is_pool: bool,
}

impl Operations<'_> {
    /// Notes that the area shall be off, if memory has room for what is in it.
    ///
    /// # Errors
    /// Without such an area; without room.
    pub fn begin_drain(&mut self, name: &AreaName) -> Result<Drain> {
        let area = self.area(name)?.clone();
        let forecast = self.forecast(&area)?;
        if !forecast.allows_emptying() {
            return Err(AreaError::Refused(format!("{name} cannot be emptied now: {forecast}")));
        }
        let found = self.executor.look(&self.store)?;
        let places = area.parts.iter().rev().filter_map(|part| place(&area, part));
        let paths = places.filter_map(|place| in_use(&place, &found)).map(|swap| swap.path.clone()).collect();
        let is_pool = area.spec.kind == AreaKind::Virtual;
        if !self.is_dry() && area.want == Want::On {
            self.note(super::AreaRecord { want: Want::Off, ..area })?;
        }
        Ok(Drain { forecast, paths, is_pool })
    }

    /// Has an area whose drain was called off as it was: on, with all its parts. To be called before anything is settled,
    /// which would go on with the drain.
    ///
    /// # Errors
    /// When the list cannot be written; when a part that was off already cannot be switched on.
    pub fn call_off_drain(&mut self, name: &AreaName) -> Result<()> {
        if self.area(name)?.want == Want::Off {
            self.switch_on(name)?;
        }
        Ok(())
    }
}

impl Drain {
    /// The areas that are to be switched off.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Switches them off, one after the other; tells `watch` what is left in *original* bytes. Ends early once `stop` is
    /// set, or when memory has become too short to go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run(
        &self,
        root: &Root,
        stop: &'static AtomicBool,
        mut watch: impl FnMut(Bytes),
    ) -> Result<Drained> {
        for path in &self.paths {
            fault::point("area.drain.begun");
            // The lock is free meanwhile, and the number of a device that goes is given out again.
            let pinned = self.is_pool.then(|| swapon::Emptied::open(root, path)).transpose();
            let pinned = pinned.map_err(AreaError::io("open", path))?;
            match off(root, path, used(root, path).unwrap_or(self.forecast.needed), stop, &mut watch) {
                Ok(()) => {
                    let discarded = pinned.map_or(Ok(()), |pinned| pinned.discard());
                    discarded.map_err(AreaError::io("discard", path))?;
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => return Ok(Drained::CalledOff),
                Err(error) => return Err(AreaError::io("swap off", path)(error)),
            }
        }
        Ok(Drained::Empty)
    }
}

/// One swapoff of an area with `left` *original* bytes in it, in a thread that a signal can end.
fn off(
    root: &Root,
    path: &Path,
    left: Bytes,
    stop: &'static AtomicBool,
    watch: &mut impl FnMut(Bytes),
) -> io::Result<()> {
    interruptible();
    let (tell, told) = channel();
    let of_thread = path.to_path_buf();
    let thread = std::thread::Builder::new().name("swapoff".to_owned()).spawn(move || {
        // SAFETY: the call has no precondition.
        let _watcher_waits = tell.send(Err(unsafe { libc::pthread_self() }));
        let _watcher_waits = tell.send(Ok(swapon::off(&of_thread)));
    })?;
    // Until the kernel says what is in it, it is what it was.
    let (mut id, mut left) = (None, left);
    let outcome = loop {
        match told.recv_timeout(PAUSE) {
            Ok(Ok(outcome)) => break outcome,
            Ok(Err(thread)) => id = Some(thread),
            Err(RecvTimeoutError::Disconnected) => break Err(io::Error::other("the thread of swapoff died")),
            Err(RecvTimeoutError::Timeout) => {}
        }
        left = used(root, path).unwrap_or(left);
        watch(left);
        if (stop.load(Ordering::Relaxed) || !has_room(root, left))
            && let Some(id) = id
        {
            // SAFETY: the thread is joined below, so its id is valid until then.
            let _it_may_have_ended = unsafe { libc::pthread_kill(id, libc::SIGUSR2) };
        }
    };
    let _it_has_told = thread.join();
    outcome
}

/// A signal that does nothing but to interrupt what waits.
fn interruptible() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an all-zero `sigaction` is valid; the handler touches nothing, so it may run at any time.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
    }
}

/// *Original* bytes in the area at `path`: none once it is off. `None`: what is there, or what is on, cannot be told.
fn used(root: &Root, path: &Path) -> Option<Bytes> {
    let it =
        root.device_called(path).map(Identity::Device).or_else(|| root.identity(path).map(|(it, _)| it))?;
    let areas = swaps::read(root).ok()?;
    match areas.iter().find(|area| area.identity == Some(it)) {
        Some(area) => Some(area.used),
        // One of which it cannot be told what it is may be this one.
        None => areas.iter().all(|area| area.identity.is_some()).then_some(Bytes(0)),
    }
}

/// Memory may have become short since the forecast. Unknown is no reason to stop what was begun.
fn has_room(root: &Root, left: Bytes) -> bool {
    procfs::read_meminfo(root).map_or(true, |memory| Forecast::of(left, &memory).allows_emptying())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn what_cannot_be_told_is_not_taken_for_empty() {
        let fake = FakeRoot::host();
        let used = |path: &str| used(fake.root(), Path::new(path));
        // 12,288 KiB of the fake host.
        assert_eq!(used("/dev/vda"), Some(Bytes(12_288 << 10)));
        assert_eq!(used("/dev/nowhere"), None);
        let swaps =
            |lines: &str| fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{lines}"));
        swaps("");
        assert_eq!(used("/dev/vda"), Some(Bytes(0)), "it is off");
        swaps("/dm-3 partition 1024 512 -2\n");
        assert_eq!(used("/dev/vda"), None, "it may be that one");
        fake.remove("proc/swaps");
        assert_eq!(used("/dev/vda"), None);
    }
}
