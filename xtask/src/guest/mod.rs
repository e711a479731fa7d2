//! A guest: one Debian kernel in QEMU that runs one command as root and ends with the command's exit code.
//! The kernel's console goes to a log file, the command's output comes back live through a virtio port.
//! A boot that dies before the guest's init is tried again and counted; what happens after init is
//! never retried.
//! Called by `vm`, `test`, `demo` and `bench`, which judge the ending.

mod accel;
mod channel;
mod clock;
mod cpio;
mod initramfs;
mod qemu;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::accel::Accel;
use self::channel::{Event, Splitter};
use self::qemu::Qemu;
use crate::kernel::Kernel;
use crate::{paths, say, setup};

/// A Debian kernel panicked in early boot about once in 50 under QEMU 7.2: three in a row are no accident.
const BOOTS: u32 = 3;
/// How long a boot may take until init: seconds in fact, but the host may be busy compiling.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// Lines of the console shown when the machine failed.
const TAIL: usize = 70;
/// Lines of the console shown when only the command failed, which has said why itself.
const SHORT_TAIL: usize = 10;

/// What to boot and run.
#[derive(Clone)]
pub(crate) struct Guest {
    /// Kernel series, `6.12`.
    pub(crate) kernel: String,
    /// RAM in MiB.
    pub(crate) memory: u64,
    /// Virtual processors.
    pub(crate) cpus: u32,
    /// Whether its clocks count instructions. Such a guest has one processor and is slow.
    pub(crate) counts: bool,
    /// Sizes in bytes of empty disks: `/dev/vda`, `/dev/vdb`, …
    pub(crate) disks: Vec<u64>,
    /// The file system of an installed system, whose init then is process 1. What the guest writes is not kept.
    pub(crate) root: Option<PathBuf>,
    /// How often it may boot: more than once, where its command has it boot again.
    pub(crate) boots: u32,
    /// Added to the kernel's command line.
    pub(crate) append: String,
    /// How long the command may take.
    pub(crate) limit: Duration,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Programs for the guest's /usr/bin.
    pub(crate) programs: Vec<PathBuf>,
    /// More files: on the host, in the guest.
    pub(crate) files: Vec<(PathBuf, String)>,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The command ended with this code.
    Exit(i32),
    /// The command was still running at its limit.
    TimedOut,
    /// The machine went away while the command ran: a panic, or QEMU died.
    Died,
    /// Init was never reached.
    NotBooted,
}

/// A guest's run.
pub(crate) struct Run {
    /// How it ended.
    pub(crate) ending: Ending,
    /// The kernel's console.
    pub(crate) console: PathBuf,
    /// Boots that died before init and were tried again.
    pub(crate) retries: u32,
    /// `uname -r` inside.
    pub(crate) release: String,
}

impl Guest {
    /// A guest with the usual size and nothing to do.
    pub(crate) fn new(kernel: &str) -> Self {
        Self {
            kernel: kernel.to_owned(),
            memory: 1024,
            cpus: 2,
            counts: false,
            disks: Vec::new(),
            root: None,
            boots: 1,
            append: String::new(),
            limit: Duration::from_secs(900),
            command: Vec::new(),
            programs: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The same with what `swaptier-guest` expects: `/dev/vda` for swap, `/dev/vdb` for files, `/dev/vdc` for a second
    /// swap area.
    pub(crate) fn with_disks(kernel: &str) -> Self {
        Self { disks: vec![2 << 30, 1 << 30, 1 << 30], ..Self::new(kernel) }
    }

    /// The same with clocks that count instructions.
    pub(crate) fn counting(kernel: &str) -> Self {
        Self { counts: true, cpus: 1, ..Self::with_disks(kernel) }
    }

    /// Boots it and passes the command's output on as it comes.
    ///
    /// # Errors
    /// When the lab fails: no kernel, no QEMU, no space. How the guest itself ended is in the result.
    pub(crate) fn run(&self, mut on_output: impl FnMut(&[u8])) -> Result<Run> {
        let kernel = Kernel::get(&self.kernel)?;
        let mut accel = if self.counts { Accel::Counting } else { Accel::choose(&kernel)? };
        say::step(&format!(
            "guest {}: {} MiB, {} processors, {} disks, {}",
            kernel.release,
            self.memory,
            self.cpus,
            self.disks.len(),
            accel.name()
        ));
        let mut retries = 0;
        loop {
            let run = self.boot(&kernel, accel, BOOT_LIMIT, &mut on_output)?;
            if run.ending != Ending::NotBooted || retries + 1 == BOOTS {
                let run = Run { retries, ..run };
                report(&run);
                return Ok(run);
            }
            retries += 1;
            accel = accel.after_failed_boot();
            say::note(&format!(
                "died before init, booting again (retry {retries}); log: {}",
                run.console.display()
            ));
        }
    }

    /// One boot, never retried.
    fn boot(
        &self,
        kernel: &Kernel,
        accel: Accel,
        boot_limit: Duration,
        on_output: &mut dyn FnMut(&[u8]),
    ) -> Result<Run> {
        let dir = paths::new_run()?;
        let console = dir.join("console.log");
        let mut machine = self.start(kernel, accel, &dir)?;
        let ending = listen(&machine.output, self.boots, boot_limit, self.limit, on_output);
        machine.stop();
        paths::drop_images(&dir);
        Ok(Run { ending, console, retries: 0, release: kernel.release.clone() })
    }

    fn start(&self, kernel: &Kernel, accel: Accel, dir: &Path) -> Result<Machine> {
        let initramfs = dir.join("initramfs.cpio");
        fs::write(&initramfs, initramfs::pack(self, kernel)?)
            .with_context(|| format!("writing {}", initramfs.display()))?;
        // setpriv lets the kernel end QEMU when xtask is killed; what is left is only files.
        let mut qemu = Command::new(setup::program("setpriv")?);
        qemu.args(["--pdeathsig", "KILL"]).args(Qemu::get()?.words());
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]);
        if self.boots == 1 {
            qemu.arg("-no-reboot");
        }
        qemu.args(accel.arguments());
        qemu.args(["-m", &format!("{}M", self.memory), "-smp", &self.cpus.to_string()]);
        qemu.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(&initramfs);
        qemu.args(["-append", &self.command_line(accel)]);
        qemu.args(["-chardev", &format!("file,id=console,path={}", option(&dir.join("console.log")))]);
        qemu.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
        qemu.args(["-chardev", "stdio,id=output,signal=off"]);
        qemu.args(["-device", "virtserialport,chardev=output,name=output"]);
        qemu.args(["-device", "virtio-rng-pci"]);
        for (index, size) in self.disks.iter().enumerate() {
            let path = dir.join(format!("disk{index}.img"));
            let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            file.set_len(*size).with_context(|| format!("sizing {}", path.display()))?;
            disk(&mut qemu, &format!("disk{index}"), &path, "discard=unmap");
        }
        if let Some(root) = &self.root {
            // What is written lies in a file of QEMU's own, in this folder, that has no name.
            qemu.env("TMPDIR", dir);
            disk(&mut qemu, "root", root, "snapshot=on");
        }
        let log = File::create(dir.join("qemu.log")).context("creating QEMU's log")?;
        // stdin is a pipe that stays open: at its end QEMU would take the port for unplugged.
        qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = qemu.spawn().context("starting QEMU")?;
        let Some(stdout) = child.stdout.take() else { bail!("QEMU has no output") };
        Ok(Machine { child, output: reader(stdout) })
    }

    /// The root file system is ramfs: its pages are never swapped, so a guest's swap holds the experiment alone.
    ///
    /// Under emulation on a busy machine the kernel's watchdog takes the TSC for unstable in the middle of a run, and
    /// patching its clock code then can hit a processor that is just executing it (`Oops: int3` in
    /// `ktime_get_update_offsets_now`): it is told to trust the TSC. Where instructions are counted, addresses are the
    /// same in each run.
    fn command_line(&self, accel: Accel) -> String {
        let slow = match accel {
            Accel::Kvm => "",
            Accel::Tcg => &format!(" mitigations=off{}", clock::parameters()),
            Accel::Counting => " mitigations=off tsc=reliable nokaslr norandmaps",
        };
        let base = "console=ttyS0 rootfstype=ramfs panic=-1 oops=panic psi=1";
        // The tests of a whole system change it: they look for this word before they do.
        let host = if self.root.is_some() { " swaptier-lab-host" } else { "" };
        format!("{base}{slow}{host} {}", self.append).trim_end().to_owned()
    }
}

/// A running QEMU.
struct Machine {
    child: Child,
    output: Receiver<Vec<u8>>,
}

impl Machine {
    /// Ends it at once. Nothing is lost: everything the command wrote came before its exit mark, and the console's log
    /// is written as it comes.
    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads in a thread, so that waiting can have a limit. The channel closes when QEMU does.
fn reader(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    // Bounded: a guest that prints faster than we can pass on has to wait.
    let (send, receive) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receive
}

fn listen(
    output: &Receiver<Vec<u8>>,
    boots: u32,
    boot_limit: Duration,
    limit: Duration,
    on_output: &mut dyn FnMut(&[u8]),
) -> Ending {
    let mut splitter = Splitter::default();
    let mut booted = 0;
    let mut deadline = Instant::now() + boot_limit;
    loop {
        let bytes = match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => bytes,
            Err(_) if booted == 0 => return Ending::NotBooted,
            Err(RecvTimeoutError::Timeout) => return Ending::TimedOut,
            Err(RecvTimeoutError::Disconnected) => return Ending::Died,
        };
        for event in splitter.push(&bytes) {
            match event {
                Event::Output(bytes) => on_output(&bytes),
                Event::Init if booted == boots => return Ending::Died,
                Event::Init => {
                    booted += 1;
                    deadline = Instant::now() + limit;
                }
                Event::Exit(code) => return Ending::Exit(code),
            }
        }
    }
}

/// A disk of the guest, known inside by its serial number.
fn disk(qemu: &mut Command, name: &str, path: &Path, how: &str) {
    let drive = format!("if=none,id={name},format=raw,cache=unsafe,{how},file={}", option(path));
    qemu.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive={name},serial={name}")]);
}

/// QEMU's option syntax doubles commas.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Says what a person wants to know about an ending, with the console's tail when it was not the command's own.
fn report(run: &Run) {
    let log = run.console.display();
    let console =
        fs::read(&run.console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let complaints = console.lines().filter(|line| is_complaint(line)).count();
    if complaints > 0 {
        say::note(&format!(
            "the guest's kernel complained {complaints} times (BUG, WARNING, Oops, hung task): {log}"
        ));
    }
    if run.retries > 0 {
        say::note(&format!("boots that died before init and were tried again: {}", run.retries));
    }
    let what = match run.ending {
        Ending::Exit(0) => return,
        Ending::Exit(code) => format!("the command failed with exit code {code}"),
        Ending::TimedOut => "the command was stopped at its time limit".to_owned(),
        Ending::Died => "the machine died while the command ran".to_owned(),
        Ending::NotBooted => format!("the guest did not reach its init in {BOOTS} boots"),
    };
    let tail = if matches!(run.ending, Ending::Exit(_)) { SHORT_TAIL } else { TAIL };
    let lines: Vec<&str> = console.lines().collect();
    let end = lines.len().saturating_sub(tail);
    // The first complaint tells more than what came of it.
    let start = lines.iter().position(|line| is_complaint(line)).map_or(end, |at| at.min(end));
    eprintln!("---- from the guest's console ----");
    for line in lines.iter().skip(start).take(tail) {
        eprintln!("{}", line.trim_end());
    }
    let end = lines.len().saturating_sub(SHORT_TAIL).max(start + tail);
    if end < lines.len() {
        eprintln!("---- and its end ----");
        lines.iter().skip(end).for_each(|line| eprintln!("{}", line.trim_end()));
    }
    eprintln!("---- guest {}: {what}", run.release);
    eprintln!("---- whole console: {log}");
    let qemu = fs::read_to_string(run.console.with_file_name("qemu.log")).unwrap_or_default();
    if !qemu.trim().is_empty() {
        eprintln!("---- QEMU said: {}", qemu.trim());
    }
}

fn is_complaint(line: &str) -> bool {
    ["BUG: ", "WARNING: ", "Oops: ", "Kernel panic", "blocked for more than", "soft lockup"]
        .iter()
        .any(|sign| line.contains(sign))
}
