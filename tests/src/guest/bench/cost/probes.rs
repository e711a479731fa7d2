//! The programs that a killed agent left attached: taken off and put on again, one by one, and what the kernel counts
//! of their runs. Raw system calls: nothing of the product stands between the measurement and the kernel.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where a running agent's maps and programs are pinned.
const PINS: &str = "/sys/fs/bpf/swaptier";

// Commands of bpf(2) (linux/bpf.h).
const OBJ_GET: libc::c_long = 7;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const ENABLE_STATS: libc::c_long = 32;

/// `struct bpf_link_info`: the word with `prog_id` in its low half; and words enough for any kind of link.
const LINK_PROGRAM: (usize, usize) = (1, 8);
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
        for pin in pins()? {
            let name = pin.file_name().unwrap_or_default().to_string_lossy();
            let (name, _copy) = name.rsplit_once('-').with_context(|| format!("the pin {name}"))?;
            let copy = Copy::take(&pin).with_context(|| format!("taking {}", pin.display()))?;
            probes.entry(name.to_owned()).or_default().push(copy);
        }
        ensure!(!probes.is_empty(), "no program is attached");
        Ok(Probes(probes))
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
        let name = CString::new(pin.as_os_str().as_encoded_bytes())?;
        let link = open(OBJ_GET, &mut [name.as_ptr() as u64, 0])?;
        let mut words = [0; LINK_PROGRAM.1];
        info(&link, &mut words)?;
        let program = open(PROG_GET_FD_BY_ID, &mut [words[LINK_PROGRAM.0] & u64::from(u32::MAX), 0])?;
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

/// The pins of all links, sorted.
fn pins() -> Result<Vec<PathBuf>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let is_set =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("links-"));
    let mut found = Vec::new();
    for layout in list(Path::new(PINS))? {
        for set in list(&layout)?.iter().filter(|path| is_set(path)) {
            found.extend(list(set)?);
        }
    }
    found.sort();
    Ok(found)
}

fn info(object: &OwnedFd, words: &mut [u64]) -> io::Result<()> {
    let length = size_of_val(words) as u64;
    call(OBJ_GET_INFO_BY_FD, &mut [object.as_raw_fd() as u64 | length << 32, words.as_mut_ptr() as u64])
        .map(drop)
}

fn open(command: libc::c_long, attributes: &mut [u64]) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `attributes`: the beginning of `union bpf_attr`, as words of a little-endian machine.
fn call(command: libc::c_long, attributes: &mut [u64]) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes the bytes of `attributes` and what its addresses name; callers keep that alive.
    let got =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as i32) }
}
