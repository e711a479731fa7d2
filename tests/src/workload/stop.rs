//! SIGTERM and SIGINT: asked once, the generator ends its loop, verifies and reports; asked twice, it dies.
//!
//! A signal can come between a look at the flag and the wait for input. So it is told through a pipe as well, for which
//! [`wait_for`] waits beside the input.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

static ASKED: AtomicBool = AtomicBool::new(false);
/// The pipe's end that tells; -1 before there is one.
static TELL: AtomicI32 = AtomicI32::new(-1);
/// The pipe's end that is listened to.
static TOLD: OnceLock<OwnedFd> = OnceLock::new();

extern "C" fn on_signal(_: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
    let fd = TELL.load(Ordering::Relaxed);
    // SAFETY: one byte of a constant; write(2) may be called in a handler, and a descriptor that is none is refused.
    unsafe { libc::write(fd, [1u8].as_ptr().cast(), 1) };
}

/// Takes the two signals over; a second one has its ordinary effect.
///
/// # Errors
/// When there is no pipe to be had.
pub(super) fn install() -> std::io::Result<()> {
    let (told, tell) = rustix::pipe::pipe()?;
    if TOLD.set(told).is_ok() {
        TELL.store(tell.into_raw_fd(), Ordering::Relaxed);
    }
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: an all-zero sigaction is a valid value (no flags, empty mask); the handler stores to an atomic and
        // writes to a pipe.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            // No SA_RESTART: a wait for a command ends at once.
            action.sa_flags = libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    Ok(())
}

/// Waits until `input` can be read, or has ended; `false`: a signal asks to stop, and may have before the call.
///
/// # Errors
/// When the kernel refuses to wait.
pub(super) fn wait_for(input: impl AsFd) -> std::io::Result<bool> {
    while !asked() {
        let told = TOLD.get().map(|told| PollFd::new(told, PollFlags::IN));
        let mut both: Vec<PollFd<'_>> =
            [PollFd::new(&input, PollFlags::IN)].into_iter().chain(told).collect();
        match poll(&mut both, None) {
            Ok(_) if !both[0].revents().is_empty() => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Has a signal asked to stop?
pub(super) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Sleeps until `at` or until a signal asks to stop.
pub(super) fn sleep_until(at: Instant) {
    while !asked() {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // `std` resumes an interrupted sleep, so it is taken in slices.
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flag of this process is set at the end: it is the only test of it.
    #[test]
    fn a_signal_that_comes_before_the_wait_ends_it() {
        install().unwrap();
        let (input, output) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&output, b"x").unwrap();
        assert!(wait_for(&input).unwrap());
        rustix::io::read(&input, &mut [0u8; 1][..]).unwrap();
        // As if it came between the look at the flag and the wait: only the pipe tells.
        on_signal(libc::SIGTERM);
        ASKED.store(false, Ordering::Relaxed);
        let waits = std::thread::spawn(move || wait_for(&input));
        std::thread::sleep(Duration::from_millis(50));
        ASKED.store(true, Ordering::Relaxed);
        let last = Instant::now() + Duration::from_secs(10);
        while !waits.is_finished() && Instant::now() < last {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(waits.is_finished(), "it waits for input that never comes");
        assert!(!waits.join().unwrap().unwrap());
        drop(output);
    }
}
