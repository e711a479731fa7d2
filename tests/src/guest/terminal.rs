//! A real terminal: tmux, in which a program runs that is sent keys and whose screen is read. Gone at drop.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::wait::wait_for;

/// Where tmux is reached.
const SOCKET: &str = "/tmp/swaptier-tmux";
/// A screen may take this long to say what it should, under emulation.
const PATIENCE: Duration = Duration::from_secs(20);

/// Guard of a terminal with a shell in it.
#[derive(Debug)]
pub struct Terminal;

impl Terminal {
    /// Opens one of this size.
    ///
    /// # Errors
    /// When there is no tmux, or it does not start.
    pub fn open(width: u16, height: u16) -> Result<Terminal> {
        let (width, height) = (width.to_string(), height.to_string());
        tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "PS1='ready> ' exec /bin/sh",
        ])?;
        let terminal = Terminal;
        terminal.shows("ready>")?;
        Ok(terminal)
    }

    /// Types a text.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn text(&self, text: &str) -> Result<()> {
        tmux(&["send-keys", "-l", text]).map(drop)
    }

    /// Presses a key by tmux's name for it: `Enter`, `C-u`, `Escape`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn key(&self, key: &str) -> Result<()> {
        tmux(&["send-keys", key]).map(drop)
    }

    /// What stands on it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn screen(&self) -> Result<String> {
        tmux(&["capture-pane", "-p"])
    }

    /// Waits until all of `words` stand on it; returns the screen.
    ///
    /// # Errors
    /// When they do not within a while: with the screen.
    pub fn shows_all(&self, words: &[&str]) -> Result<String> {
        let mut seen = String::new();
        let found = wait_for("the screen", PATIENCE, || {
            seen = self.screen()?;
            Ok(words.iter().all(|word| seen.contains(word)))
        });
        let missing: Vec<&&str> = words.iter().filter(|word| !seen.contains(**word)).collect();
        found.with_context(|| format!("missing on the screen: {missing:?}\n{seen}"))?;
        Ok(seen)
    }

    /// The same for one.
    ///
    /// # Errors
    /// As [`Terminal::shows_all`].
    pub fn shows(&self, words: &str) -> Result<String> {
        self.shows_all(&[words])
    }

    /// What modes the terminal is in: alternate screen, cursor shown, mouse taken.
    ///
    /// # Errors
    /// When it is gone.
    pub fn modes(&self) -> Result<String> {
        let modes = tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"])?;
        Ok(modes.trim().to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = tmux(&["kill-server"]);
    }
}

fn tmux(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("/usr/bin/tmux");
    command.args(["-u", "-S", SOCKET]).args(arguments).stdin(Stdio::null());
    let output = command.env("LC_ALL", "C.UTF-8").env("TERM", "screen").output();
    let output = output.context("starting tmux: guests of `cargo xtask test` and `vm` have it")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tmux {arguments:?}: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
