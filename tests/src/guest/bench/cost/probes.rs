//! The programs that a killed agent left attached: taken off and put on again, one by one, and what the kernel counts
//! of their runs.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::guest::bpf::{LINK_PROGRAM, PROG_GET_FD_BY_ID, by_id, info, links, open, pinned};

// Commands of bpf(2) (linux/bpf.h).
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const ENABLE_STATS: libc::c_long = 32;

/// `struct bpf_prog_info`: the words with `run_time_ns` and `run_cnt`, and all up to there.
const PROGRAM_TIME: usize = 192 / 8;
const PROGRAM_RUNS: usize = 200 / 8;
const PROGRAM_WORDS: usize = PROGRAM_RUNS + 1;

/// Every program by name, all its copies in order.
pub(super) struct Probes(BTreeMap<String, Vec<Copy>>);

struct Copy {
    program: OwnedFd,
    /// Attached while there is one.
    link: Option<OwnedFd>,
}

/// What the kernel counted of a program, all copies together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) count: u64,
    /// In them, the kernel's counting included.
    pub(super) instructions: u64,
}

impl Runs {
    pub(super) fn since(&self, before: &Runs) -> Runs {
        Runs { count: self.count - before.count, instructions: self.instructions - before.instructions }
    }

    pub(super) fn instructions_each(&self) -> u64 {
        self.instructions / self.count.max(1)
    }
}

impl Probes {
    /// Takes over what a killed agent left attached: from now on it is attached as long as this lives.
    ///
    /// # Errors
    /// When there is nothing, or the kernel does not hand it over.
    pub(super) fn take() -> Result<Probes> {
        let mut probes: BTreeMap<String, Vec<Copy>> = BTreeMap::new();
        for pin in links()? {
            let name = pin.file_name().unwrap_or_default().to_string_lossy();
            let (name, _copy) = name.rsplit_once('-').with_context(|| format!("the pin {name}"))?;
            let copy = Copy::take(&pin).with_context(|| format!("taking {}", pin.display()))?;
            probes.entry(name.to_owned()).or_default().push(copy);
        }
        ensure!(!probes.is_empty(), "no program is attached");
        Ok(Probes(probes))
    }

    /// Adds a program that is attached to nothing.
    pub(super) fn add(&mut self, name: &str, program: OwnedFd) {
        self.0.insert(name.to_owned(), vec![Copy { program, link: None }]);
    }

    /// Attaches the copies of programs that are wanted, and no others.
    ///
    /// # Errors
    /// When the kernel refuses one.
    pub(super) fn attach(&mut self, is_wanted: impl Fn(&str, usize) -> bool) -> Result<()> {
        for (name, copies) in &mut self.0 {
            for (nth, copy) in copies.iter_mut().enumerate() {
                copy.attach(is_wanted(name, nth)).with_context(|| format!("attaching {name}"))?;
            }
        }
        Ok(())
    }

    /// Makes the kernel count runs, as long as the descriptor is open.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn count_runs() -> Result<OwnedFd> {
        // BPF_STATS_RUN_TIME is 0.
        open(ENABLE_STATS, &mut [0]).context("counting runs")
    }

    /// What the kernel has counted by now.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) fn runs(&self) -> Result<BTreeMap<String, Runs>> {
        let of = |copies: &Vec<Copy>| -> Result<Runs> {
            copies.iter().try_fold(Runs::default(), |sum, copy| {
                let mut words = [0; PROGRAM_WORDS];
                info(&copy.program, &mut words)?;
                Ok(Runs {
                    count: sum.count + words[PROGRAM_RUNS],
                    instructions: sum.instructions + words[PROGRAM_TIME],
                })
            })
        };
        self.0.iter().map(|(name, copies)| Ok((name.clone(), of(copies)?))).collect()
    }
}

impl Copy {
    fn take(pin: &Path) -> Result<Copy> {
        let link = pinned(pin)?;
        let mut words = [0; LINK_PROGRAM.1];
        info(&link, &mut words)?;
        let program = by_id(PROG_GET_FD_BY_ID, words[LINK_PROGRAM.0] as u32)?;
        std::fs::remove_file(pin)?;
        Ok(Copy { program, link: Some(link) })
    }

    fn attach(&mut self, is_wanted: bool) -> Result<()> {
        if !is_wanted {
            self.link = None;
        } else if self.link.is_none() {
            // Without a name: on the function it was loaded for.
            self.link = Some(open(RAW_TRACEPOINT_OPEN, &mut [0, self.program.as_raw_fd() as u64])?);
        }
        Ok(())
    }
}
