//! Loading and attaching the probes, and taking them away again. Does what `coverage` planned.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{MapData, RingBuf},
    programs::{FEntry, FExit, Program},
};
use swaptier_common::{LAYOUT, PAGE_CLUSTERS};

use super::{
    HookError,
    coverage::{At, Attach, Coverage, cover},
    facts::{Facts, Returns, VMLINUX_BTF, read_facts},
    misses::recursion_misses,
};
use crate::fault;

/// The probes, built by `cargo xtask ebpf`.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/swaptier.bpf.o"));

/// Every map of the object. All are pinned: the second copy of the programs finds them there, and so do
/// commands that read the map while the agent runs.
const MAPS: [&str; 9] =
    ["CONTROL", "AREAS", "DIRECTORY", "FREE_FRAMES", "FRAMES", "CGROUPS", "EVENTS", "ALARMS", "AYA_LOGS"];

/// Copies of each program that keeps the map. The kernel skips a program on a CPU where a preempted task is
/// still inside it; two were never skipped together in any measured run.
const COPIES: usize = 2;

/// Where the maps are pinned: a folder for each layout, so that a map of another version is never opened.
pub fn pin_folder(bpffs: &Path) -> PathBuf {
    bpffs.join("swaptier").join(format!("v{LAYOUT}"))
}

/// Settings of a load.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// The pin folder.
    pub pins: PathBuf,
    /// Pages of the directory: 4 KiB each, for 524,288 slots.
    pub directory_pages: u32,
    /// Whether the probes' own diagnostics are compiled in by the verifier (`RUST_LOG` asks for them).
    pub is_logging: bool,
}

/// The probes in the kernel. Dropping it detaches them; [`Loaded::remove`] also unpins the maps.
pub struct Loaded {
    copies: Vec<Ebpf>,
    pins: PathBuf,
    coverage: Coverage,
}

/// One program as the kernel runs it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProgramReport {
    /// Name of the program in `ebpf/`.
    pub program: &'static str,
    /// The kernel function it is on.
    pub function: String,
    /// Runs the kernel skipped, over all copies.
    pub recursion_misses: u64,
    /// Instructions the verifier walked through, of the copy that took most.
    pub verified_instructions: u32,
}

impl Hooks {
    /// Loads every program and makes every map, attached to nothing yet.
    ///
    /// # Errors
    /// What the kernel lacks or refuses; nothing is left pinned then.
    pub fn load(&self) -> Result<Loaded, HookError> {
        let facts = read_facts(Path::new(VMLINUX_BTF))?;
        let coverage = cover(&facts).map_err(|missing| HookError::Uncovered(missing.join(", ")))?;
        let zswap_lru = zswap_list_lru()?;
        let btf = Btf::from_sys_fs().map_err(|source| HookError::Object(source.into()))?;
        remove_pins(&self.pins)?;
        fs::create_dir_all(&self.pins).map_err(|source| self.pin_error(source))?;
        fault::point("load.folder");
        let mut loaded = Loaded { copies: Vec::new(), pins: self.pins.clone(), coverage };
        for copy in 0..COPIES {
            let done = self.object(&facts, zswap_lru, &btf).and_then(|mut ebpf| {
                for attach in loaded.coverage.attach.iter().filter(|attach| copy == 0 || attach.keeps_map) {
                    load_program(&mut ebpf, attach, &btf)?;
                }
                Ok(ebpf)
            });
            match done {
                Ok(ebpf) => {
                    loaded.copies.push(ebpf);
                    fault::point("load.half");
                }
                Err(error) => {
                    loaded.remove();
                    return Err(error);
                }
            }
        }
        fault::point("load.loaded");
        Ok(loaded)
    }

    fn object(&self, facts: &Facts, zswap_lru: u64, btf: &Btf) -> Result<Ebpf, HookError> {
        let is_bool = facts.functions.get("zswap_load").is_some_and(|load| load.returns == Returns::Bool);
        let is_bool = u32::from(is_bool);
        let clusters = self.directory_pages * PAGE_CLUSTERS as u32;
        let log_level: u8 = if self.is_logging { u8::MAX } else { 0 };
        let mut loader = EbpfLoader::new();
        loader
            .btf(Some(btf))
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("ZSWAP_LIST_LRU", &zswap_lru, true)
            .override_global("ZSWAP_LOAD_IS_BOOL", &is_bool, true)
            .override_global("DIRECTORY_CLUSTERS", &clusters, true)
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .map_max_entries("DIRECTORY", self.directory_pages);
        for (name, value) in &facts.globals {
            loader.override_global(name, value, true);
        }
        for map in MAPS {
            loader.map_pin_path(map, self.pins.join(map));
        }
        loader.load(OBJECT).map_err(HookError::Object)
    }

    fn pin_error(&self, source: io::Error) -> HookError {
        HookError::PinFolder { path: self.pins.clone(), source }
    }
}

impl Loaded {
    /// Attaches every copy of every program. The order matters: what ends a state comes before what begins it.
    ///
    /// # Errors
    /// The program the kernel refused; those before it stay attached until this value is dropped.
    pub fn attach(&mut self) -> Result<(), HookError> {
        for attach in &self.coverage.attach {
            let copies = if attach.keeps_map { COPIES } else { 1 };
            for ebpf in &mut self.copies[..copies] {
                attach_program(ebpf, attach)?;
            }
            fault::point("attach.half");
        }
        fault::point("attach.done");
        Ok(())
    }

    /// What is not seen on this kernel, one sentence each.
    pub fn lost(&self) -> &[String] {
        &self.coverage.lost
    }

    /// The ring buffer of rare events; it can be taken once.
    ///
    /// # Errors
    /// It was taken before, or the object is of another build.
    pub fn take_events(&mut self) -> Result<RingBuf<MapData>, HookError> {
        let map = self.copies.first_mut().and_then(|ebpf| ebpf.take_map("EVENTS"));
        RingBuf::try_from(map.ok_or(HookError::Map("EVENTS"))?)
            .map_err(|source| HookError::MapUse { map: "EVENTS", source })
    }

    /// The object through which the probes' own diagnostics are read.
    pub fn first_copy(&mut self) -> Option<&mut Ebpf> {
        self.copies.first_mut()
    }

    /// Cost and losses of each program.
    pub fn programs(&self) -> Vec<ProgramReport> {
        self.coverage
            .attach
            .iter()
            .map(|attach| {
                let copies = self.copies.iter().filter_map(|ebpf| ebpf.program(attach.program));
                let mut report = ProgramReport {
                    program: attach.program,
                    function: attach.function.clone(),
                    recursion_misses: 0,
                    verified_instructions: 0,
                };
                for program in copies {
                    if let Ok(fd) = program.fd() {
                        use std::os::fd::AsFd as _;
                        report.recursion_misses += recursion_misses(fd.as_fd()).unwrap_or(0);
                    }
                    let verified = program.info().ok().and_then(|info| info.verified_instruction_count());
                    report.verified_instructions = report.verified_instructions.max(verified.unwrap_or(0));
                }
                report
            })
            .collect()
    }

    /// Detaches everything and unpins the maps.
    pub fn remove(self) {
        let pins = self.pins.clone();
        drop(self);
        fault::point("stop.detached");
        if let Err(error) = remove_pins(&pins) {
            tracing::warn!(%error, "maps stay pinned");
        }
        fault::point("stop.unpinned");
    }
}

fn load_program(ebpf: &mut Ebpf, attach: &Attach, btf: &Btf) -> Result<(), HookError> {
    let error =
        |source| HookError::Program { program: attach.program, function: attach.function.clone(), source };
    let program = ebpf.program_mut(attach.program).ok_or(HookError::Map(attach.program))?;
    match attach.at {
        At::Entry => {
            let program: &mut FEntry = program.try_into().map_err(error)?;
            program.load(&attach.function, btf).map_err(error)
        }
        At::Exit => {
            let program: &mut FExit = program.try_into().map_err(error)?;
            program.load(&attach.function, btf).map_err(error)
        }
    }
}

fn attach_program(ebpf: &mut Ebpf, attach: &Attach) -> Result<(), HookError> {
    let error =
        |source| HookError::Program { program: attach.program, function: attach.function.clone(), source };
    match ebpf.program_mut(attach.program).ok_or(HookError::Map(attach.program))? {
        Program::FEntry(program) => program.attach().map(drop).map_err(error),
        Program::FExit(program) => program.attach().map(drop).map_err(error),
        _ => Err(HookError::Map(attach.program)),
    }
}

/// Removes the pins of a dead agent. Its links died with it, so the maps behind them are only memory.
///
/// # Errors
/// The folder is there and cannot be removed.
pub fn remove_pins(pins: &Path) -> Result<(), HookError> {
    match fs::remove_dir_all(pins) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(HookError::PinFolder { path: pins.to_owned(), source: error });
        }
        _ => {}
    }
    if let Some(parent) = pins.parent() {
        // Another layout's folder may be in it.
        let _not_empty = fs::remove_dir(parent);
    }
    Ok(())
}

/// The address of zswap's list of entries, from /proc/kallsyms.
fn zswap_list_lru() -> Result<u64, HookError> {
    let symbols = fs::read_to_string("/proc/kallsyms").map_err(|_unreadable| HookError::Symbol)?;
    parse_symbol(&symbols, "zswap_list_lru").ok_or(HookError::Symbol)
}

fn parse_symbol(symbols: &str, wanted: &str) -> Option<u64> {
    symbols
        .lines()
        .map(|line| line.split_ascii_whitespace())
        .find_map(|mut words| {
            let (address, _kind, name) = (words.next()?, words.next()?, words.next()?);
            (name == wanted).then(|| u64::from_str_radix(address, 16).ok())?
        })
        .filter(|address| *address != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_address_is_no_address() {
        let shown = "ffffffffa0000000 t other\nffffffffb1234560 b zswap_list_lru\n";
        assert_eq!(parse_symbol(shown, "zswap_list_lru"), Some(0xffff_ffff_b123_4560));
        assert_eq!(parse_symbol("0000000000000000 b zswap_list_lru\n", "zswap_list_lru"), None);
        assert_eq!(parse_symbol("ffffffffb1234560 b zswap_list_lru_other\n", "zswap_list_lru"), None);
    }
}
