//! KVM or TCG: found out by booting, since a /dev/kvm that exists may still not run a stock kernel (nested machines).
//! The verdict is kept under `target/lab` for this QEMU on this host kernel. And TCG in the way that counts
//! instructions, which is asked for. Called by `guest/mod.rs`.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use anyhow::Result;

use super::qemu::Qemu;
use super::{Ending, Guest};
use crate::kernel::Kernel;
use crate::{paths, say};

/// A probe boot that takes longer than this does not count as working: KVM needs two.
const PATIENCE: Duration = Duration::from_secs(20);

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The host's processor.
    Kvm,
    /// Translation in QEMU, many times slower and always there.
    Tcg,
    /// The same on one host processor, with clocks that go on by 1 ns with each instruction (and to the next timer when
    /// there is none to execute): what takes so many nanoseconds in the guest are so many instructions, whatever the
    /// host is doing. No random numbers and no date from the host, so that two runs are as alike as can be. And no hint
    /// that copying by bytes is quick: a page copied so would be 4096 instructions instead of 512.
    Counting,
}

impl Accel {
    /// QEMU's arguments.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max"],
            Self::Counting => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                "max,-rdrand,-rdseed,-erms,-fsrm",
                "-rtc",
                "base=2026-01-01T00:00:00,clock=vm",
                "-seed",
                "1",
            ],
        }
    }

    /// For a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
            Self::Counting => "TCG that counts instructions",
        }
    }

    /// What to boot with after a boot that died: a KVM that works only sometimes does not work.
    pub(super) fn after_failed_boot(self) -> Self {
        if self != Self::Kvm {
            return self;
        }
        say::note("KVM is not trusted for the next boot; the verdict is forgotten");
        let _ = fs::remove_file(paths::lab().join("accel"));
        Self::Tcg
    }

    /// The kept verdict, or a new one by a probe boot of `kernel`. `SWAPTIER_ACCEL=tcg|kvm` overrides.
    pub(super) fn choose(kernel: &Kernel) -> Result<Self> {
        match std::env::var("SWAPTIER_ACCEL").as_deref() {
            Ok("kvm") => return Ok(Self::Kvm),
            Ok("tcg") => return Ok(Self::Tcg),
            _ => {}
        }
        if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Tcg);
        }
        let _lock = paths::lock("accel")?;
        let key = key()?;
        let kept = paths::lab().join("accel");
        if let Some((verdict, of)) = fs::read_to_string(&kept).unwrap_or_default().split_once('\n')
            && of == key
        {
            return Ok(if verdict == "kvm" { Self::Kvm } else { Self::Tcg });
        }
        let verdict = probe(kernel);
        let word = if verdict == Self::Kvm { "kvm" } else { "tcg" };
        if let Err(error) = fs::write(&kept, format!("{word}\n{key}")) {
            say::note(&format!("the verdict is not kept: {error}"));
        }
        Ok(verdict)
    }
}

fn probe(kernel: &Kernel) -> Accel {
    say::step(&format!("does KVM work here? one probe boot, at most {} s", PATIENCE.as_secs()));
    let guest = Guest { command: vec!["true".to_owned()], limit: PATIENCE, ..Guest::new(&kernel.version) };
    let ending = guest.boot(kernel, Accel::Kvm, PATIENCE, &mut |_| {});
    let works = matches!(&ending, Ok(run) if run.ending == Ending::Exit(0));
    say::note(if works { "yes" } else { "no: guests run under TCG, slower but just as real" });
    if works { Accel::Kvm } else { Accel::Tcg }
}

/// What the verdict holds for.
fn key() -> Result<String> {
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!("{} on {}", Qemu::get()?.version, host.trim()))
}
