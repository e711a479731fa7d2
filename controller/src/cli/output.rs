//! How commands print: tables, sizes, JSON, colour. Knows nothing of what is printed.

/// Lets the kernel end this process when its reader has gone, as other command line tools do (`swaptier status | head`).
/// Rust ignores SIGPIPE and would panic at the next `println!`.
pub(super) fn die_quietly_on_a_closed_pipe() {
    // SAFETY: no handler is installed, the signal gets its default back; called before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
