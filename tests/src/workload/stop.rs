//! SIGTERM and SIGINT: asked once, the generator ends its loop, verifies and reports; asked twice, it dies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// Takes the two signals over; a second one has its ordinary effect.
pub(super) fn install() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: an all-zero sigaction is a valid value (no flags, empty mask); the handler only stores to an atomic.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            // No SA_RESTART: a wait for a command ends at once.
            action.sa_flags = libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
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
