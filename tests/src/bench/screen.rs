//! The screen as a program of its own: on a terminal of its own, asking a real control socket. What it costs is what the
//! kernel counted for it. The statuses that the socket serves are made up, by the caller.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ratatui::layout::Size;
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use swaptier::{
    config::{MetricsConfig, SocketConfig},
    root::Root,
    serve::{board::Board, server::Server, without_agent::Rows},
    top::{
        paint::{Look, Paint, UNICODE},
        source::{Files, Socket, Source as _},
        state::State,
    },
};
use swaptier_policies::PolicySet;
use tokio::sync::mpsc;

/// What the child is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The folder that stands for the root.
    root: PathBuf,
    /// Milliseconds from one look to the next.
    pace_ms: u64,
}

/// The child: the screen, as `swaptier top` runs it.
///
/// # Errors
/// There is no terminal, or it is gone.
pub fn child(place: &Place) -> Result<bool> {
    let root = Root::at(&place.root).context("opening the host")?;
    let files = Files::new(root.clone(), PolicySet::default(), Vec::new(), Rows::Concerned);
    let source = Socket::new(root.clone(), files);
    let look = Look { paint: Paint { has_colours: true }, signs: UNICODE };
    let mut state = State::new(Size { width: 80, height: 24 }, look, source.origin());
    state.pace = Duration::from_millis(place.pace_ms);
    swaptier::top::run(root, Box::new(source), state)?;
    Ok(true)
}

/// A socket below a folder of its own.
pub(super) struct Desk {
    dir: tempfile::TempDir,
    pub(super) board: Arc<Board>,
    _server: Server,
}

impl Desk {
    pub(super) fn open() -> Result<Desk> {
        let dir = tempfile::tempdir().context("making a folder for the socket")?;
        let root = Root::at(dir.path()).context("opening that folder")?;
        let board = Arc::new(Board::default());
        let (send, _nobody_acts) = mpsc::channel(1);
        let (socket, metrics) = (SocketConfig::default(), MetricsConfig::default());
        let server =
            Server::start(&root, &socket, &metrics, board.clone(), send).context("serving the socket")?;
        Ok(Desk { dir, board, _server: server })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The screen while it runs; killed at drop.
pub(super) struct Screen {
    child: Child,
    keys: File,
    /// Bytes that it has drawn.
    drawn: Arc<AtomicU64>,
}

impl Screen {
    /// Starts it on a terminal of this size.
    pub(super) fn start(desk: &Desk, size: Size, pace: Duration) -> Result<Screen> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("opening a terminal")?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let winsize = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, winsize)?;
        let theirs = File::from(open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?);
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("top-screen").arg(desk.path()).arg(pace.as_millis().to_string());
        command.stdin(Stdio::from(theirs.try_clone()?)).stdout(Stdio::from(theirs)).stderr(Stdio::null());
        // SAFETY: setsid is a system call that touches no memory; without it the child would ask our terminal for its size.
        unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into)) };
        let child = command.spawn().context("starting the screen")?;
        let keys = File::from(ours);
        let (mut reader, drawn) = (keys.try_clone()?, Arc::new(AtomicU64::new(0)));
        let count = drawn.clone();
        thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            // An error is the child's end.
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                count.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
        Ok(Screen { child, keys, drawn })
    }

    /// Presses keys.
    pub(super) fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("pressing a key")
    }

    /// Bytes drawn so far.
    pub(super) fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// CPU time of all its threads, by the kernel's scheduler, in nanoseconds exactly.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).context("the screen is gone")?;
        let mut sum = 0;
        for task in tasks {
            let text = fs::read_to_string(task?.path().join("schedstat")).context("reading schedstat")?;
            let time = text.split_ascii_whitespace().next().context("schedstat is empty")?;
            sum += time.parse::<u64>().context("schedstat is no number")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Leaves it by its key.
    pub(super) fn quit(mut self) -> Result<()> {
        self.press("q")?;
        let status = self.child.wait().context("waiting for the screen")?;
        ensure!(status.success(), "the screen ended with {status}");
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended where it was left by its key.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
