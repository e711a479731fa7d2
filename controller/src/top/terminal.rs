//! The terminal: taken, and given back as it was found, however we end: at the end of the guard's life, in a panic, at a
//! signal that ends or stops us.

use std::{
    io::{self, Write as _},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{DisableMouseCapture, EnableMouseCapture},
        execute,
        terminal::{
            Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
        },
    },
};

/// Whether the terminal is ours now: it is given back once, by whoever comes first.
static IS_OURS: AtomicBool = AtomicBool::new(false);
/// Whether the mouse is ours, too.
static HAS_MOUSE: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(super) struct Screen {
    /// What is drawn on.
    pub(super) terminal: Terminal<CrosstermBackend<io::Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none, or refuses.
    pub(super) fn take(mouse: bool) -> io::Result<Screen> {
        give_back_in_panics();
        HAS_MOUSE.store(mouse, Ordering::SeqCst);
        begin()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).inspect_err(|_| give_back())?;
        Ok(Screen { terminal })
    }

    /// Takes it anew: after we were stopped, whoever ran meanwhile has changed it.
    ///
    /// # Errors
    /// As [`Screen::take`].
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        begin()?;
        self.begin_anew()
    }

    /// Empties the screen, so that all of it is drawn. ratatui's own way asks the terminal where the cursor is, and the
    /// answer would be taken by the thread that waits for keys.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Takes the mouse, or gives it back so that text can be marked.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn mouse(&mut self, is_ours: bool) -> io::Result<()> {
        HAS_MOUSE.store(is_ours, Ordering::SeqCst);
        match is_ours {
            true => execute!(io::stdout(), EnableMouseCapture),
            false => execute!(io::stdout(), DisableMouseCapture),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Takes the terminal; from the first step on it is given back, even if a later one fails.
fn begin() -> io::Result<()> {
    IS_OURS.store(true, Ordering::SeqCst);
    let taken =
        enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen, Hide)).and_then(|()| {
            match HAS_MOUSE.load(Ordering::SeqCst) {
                true => execute!(io::stdout(), EnableMouseCapture),
                false => Ok(()),
            }
        });
    taken.inspect_err(|_| give_back())
}

/// Gives the terminal back. What fails has no one left to be told to.
pub(super) fn give_back() {
    if !IS_OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    if HAS_MOUSE.load(Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableMouseCapture);
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}

/// The message of a panic must be seen, and on a terminal that can be used.
fn give_back_in_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}
