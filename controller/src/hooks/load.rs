//! Loading and attaching the probes, taking over those of a dead agent, and taking them away again. Does what
//! `coverage` planned.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Map, MapData, RingBuf},
    programs::{FEntry, FExit, Program, ProgramFd, links::FdLink, loaded_programs},
};
use aya_log::EbpfLogger;
use swaptier_common::{
    CAST, LAYOUT, PAGE_CLUSTERS,
    notes::{ALONE, FIRST, SECOND},
};

use super::{
    HookError,
    before::Trees,
    coverage::{At, Attach, Coverage, cover},
    facts::{self, Facts},
    handover,
    links::{Pinned, Sets},
    misses::recursion_misses,
    preempt::Preemption,
    symbols::{self, Zswap},
};
use crate::fault;

/// The probes, built by `cargo xtask ebpf`.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/swaptier.bpf.o"));

/// Every map of the object. All are pinned: the second copy of the programs finds them there, and so do
/// commands that read the map while the agent runs.
const MAPS: [&str; 10] = [
    "CONTROL",
    "AREAS",
    "DIRECTORY",
    "FREE_FRAMES",
    "FRAMES",
    "CGROUPS",
    "NOTES",
    "EVENTS",
    "ALARMS",
    "AYA_LOGS",
];

/// Objects that are loaded where programs are attached twice, one for each copy: the last one attached runs first
/// (`bpf_trampoline_link_prog`, kernel/bpf/trampoline.c).
const COPIES: [u32; 2] = [SECOND, FIRST];

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
    /// Where this kernel may preempt a task: a program that keeps the map is attached twice if it may be there.
    pub preemption: Preemption,
    /// Whether the probes' own diagnostics are compiled in by the verifier (`RUST_LOG` asks for them).
    pub is_logging: bool,
}

/// The probes in the kernel. They are pinned: dropping it leaves them attached, for the next agent to adopt;
/// [`Loaded::remove`] takes them away.
pub struct Loaded {
    /// What this process loaded; nothing after adopting.
    copies: Vec<Ebpf>,
    /// Every attached program.
    links: Vec<Pinned>,
    /// For each link the program behind it, and the instructions the verifier walked through; only after adopting.
    adopted: Vec<(usize, ProgramFd, u32)>,
    origin: Origin,
    build: u64,
    pins: PathBuf,
    coverage: Coverage,
    /// The object of the program that walks zswap's trees, where nothing else was loaded.
    beside: Option<Ebpf>,
}

/// Where the map comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It begins now.
    New,
    /// A dead agent's, with its programs attached all the time: nothing was missed.
    Adopted,
    /// A dead agent's of another build: its programs stay until those of this build are attached.
    TakenOver,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Origin::New => "new, it begins now",
            Origin::Adopted => "that of the agent before, kept up to date meanwhile",
            Origin::TakenOver => "that of the agent before, of another build; its probes are replaced",
        })
    }
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

impl ProgramReport {
    fn of(attach: &Attach) -> Self {
        let function = attach.function.clone();
        Self { program: attach.program, function, recursion_misses: 0, verified_instructions: 0 }
    }

    fn add(&mut self, program: BorrowedFd<'_>, verified: u32) {
        self.recursion_misses += recursion_misses(program).unwrap_or(0);
        self.verified_instructions = self.verified_instructions.max(verified);
    }
}

impl Hooks {
    /// Adopts what a dead agent of this build left attached. Else loads every program, attached to nothing yet, on the
    /// maps a dead agent of another build left, or on new ones.
    ///
    /// # Errors
    /// What the kernel lacks or refuses; nothing is left pinned then.
    pub fn load(&self) -> Result<Loaded, HookError> {
        let facts = facts::running()?;
        let zswap = symbols::zswap()?;
        let coverage = cover(facts, zswap.trees != 0, self.preemption)
            .map_err(|missing| HookError::Uncovered(missing.join(", ")))?;
        let btf = Btf::from_sys_fs().map_err(|source| HookError::Object(source.into()))?;
        let build = self.build(facts, zswap, &coverage);
        let (sets, pins) = (Sets::below(&self.pins), self.pins.clone());
        remove_other_layouts(&self.pins)?;
        let is_kept = sets.is_any_complete() && has_maps(&self.pins, self.directory_pages);
        if is_kept && let Some(links) = sets.adopt(build, &coverage.attach) {
            let (adopted, copies) = (programs_of(&links), Vec::new());
            let (origin, beside) = (Origin::Adopted, None);
            return Ok(Loaded { copies, links, adopted, origin, build, pins, coverage, beside });
        }
        if !is_kept {
            remove_pins(&self.pins)?;
        }
        fs::create_dir_all(&self.pins).map_err(|source| self.pin_error(source))?;
        fault::point("load.folder");
        let origin = if is_kept { Origin::TakenOver } else { Origin::New };
        let (copies, links, adopted) = (Vec::new(), Vec::new(), Vec::new());
        let beside = None;
        let mut loaded = Loaded { copies, links, adopted, origin, build, pins, coverage, beside };
        let copies = if self.preemption > Preemption::Never { COPIES.as_slice() } else { [ALONE].as_slice() };
        for (nth, copy) in copies.iter().enumerate() {
            let left = copies.len() - nth;
            let done = self.object(facts, zswap, (*copy, [1, 1]), &btf).and_then(|mut ebpf| {
                for attach in loaded.coverage.attach.iter().filter(|attach| left <= attach.copies) {
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

    /// The object with its maps: those that are pinned, or new ones that are. `timed` are the swap-ins, and the cgroups, that
    /// the maps of the timer have room for, which are never pinned.
    pub(super) fn object(
        &self,
        facts: &Facts,
        zswap: Zswap,
        (copy, timed): (u32, [u32; 2]),
        btf: &Btf,
    ) -> Result<Ebpf, HookError> {
        let clusters = self.directory_pages * PAGE_CLUSTERS as u32;
        let log_level: u8 = if self.is_logging { u8::MAX } else { 0 };
        let mut loader = EbpfLoader::new();
        loader
            .btf(Some(btf))
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("ZSWAP_LIST_LRU", &zswap.list, true)
            .override_global("ZSWAP_TREES", &zswap.trees, true)
            .override_global("COPY", &copy, true)
            .override_global("DIRECTORY_CLUSTERS", &clusters, true)
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .map_max_entries("DIRECTORY", self.directory_pages)
            .map_max_entries("FAULTS", timed[0])
            .map_max_entries("LATENCY", timed[1]);
        for (name, value) in &facts.globals {
            loader.override_global(name, value, true);
        }
        for map in MAPS {
            loader.map_pin_path(map, self.pins.join(map));
        }
        loader.load(&with_casts(OBJECT, facts.cast)).map_err(HookError::Object)
    }

    /// The program that walks zswap's trees, on the maps of these probes; `None` where this kernel shows no trees.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn trees<'a>(&self, loaded: &'a mut Loaded) -> Result<Option<Trees<'a>>, HookError> {
        let zswap = symbols::zswap()?;
        if zswap.trees == 0 {
            return Ok(None);
        }
        if loaded.copies.is_empty() && loaded.beside.is_none() {
            let btf = Btf::from_sys_fs().map_err(|source| HookError::Object(source.into()))?;
            loaded.beside = Some(self.object(facts::running()?, zswap, (ALONE, [1, 1]), &btf)?);
        }
        loaded.copies.first_mut().or(loaded.beside.as_mut()).map(Trees::load).transpose()
    }

    /// Names what is loaded: programs that differ in nothing have the same number.
    fn build(&self, facts: &Facts, zswap: Zswap, coverage: &Coverage) -> u64 {
        let settings = format!("{self:?} {facts:?} {zswap:?} {coverage:?}");
        // FNV-1a, 64 bits.
        OBJECT.iter().chain(settings.as_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    fn pin_error(&self, source: io::Error) -> HookError {
        HookError::PinFolder { path: self.pins.clone(), source }
    }
}

impl Loaded {
    /// Attaches every copy of every program, unless they were adopted. The order matters: what ends a state comes
    /// before what begins it. Those that keep the map may see an event together with a dead agent's, since only one of
    /// all copies counts it; those that only count must not.
    ///
    /// # Errors
    /// The program the kernel refused; [`Loaded::remove`] takes away those before it.
    pub fn attach(&mut self) -> Result<(), HookError> {
        if self.origin == Origin::Adopted {
            return Ok(());
        }
        let pins = self.pins.clone();
        let (sets, error) =
            (Sets::below(&pins), |source| HookError::PinFolder { path: pins.clone(), source });
        sets.begin().map_err(error)?;
        self.attach_where(&sets, |attach| attach.keeps_map)?;
        sets.detach_complete().map_err(error)?;
        self.attach_where(&sets, |attach| !attach.keeps_map)?;
        sets.end(self.build).map_err(error)?;
        fault::point("attach.done");
        Ok(())
    }

    fn attach_where(&mut self, sets: &Sets<'_>, is_meant: fn(&Attach) -> bool) -> Result<(), HookError> {
        for (nth, attach) in self.coverage.attach.iter().enumerate().filter(|(_, attach)| is_meant(attach)) {
            for (ebpf, name) in attach.attached(self.copies.iter_mut()).zip(attach.pins()) {
                self.links.push(sets.pin(nth, &name, attach_program(ebpf, attach)?)?);
            }
            fault::point("attach.half");
        }
        Ok(())
    }

    /// Where the map comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What is not seen on this kernel, one sentence each.
    pub fn lost(&self) -> &[String] {
        &self.coverage.lost
    }

    /// The ring buffer of rare events.
    ///
    /// # Errors
    /// It is not pinned, or something else is.
    pub fn events(&self) -> Result<RingBuf<MapData>, HookError> {
        let error = |source| HookError::MapUse { map: "EVENTS", source };
        let map = MapData::from_pin(self.pins.join("EVENTS")).map_err(error)?;
        Map::from_map_data(map).and_then(RingBuf::try_from).map_err(error)
    }

    /// The reader of the probes' own diagnostics.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        match self.copies.first_mut() {
            Some(ebpf) => EbpfLogger::init(ebpf).ok(),
            // Whichever of the programs says something knows the map.
            None => self
                .links
                .iter()
                .find_map(|pinned| EbpfLogger::init_from_id(pinned.link.info().ok()?.program_id()).ok()),
        }
    }

    /// Cost and losses of each program.
    pub fn programs(&self) -> Vec<ProgramReport> {
        let mut reports: Vec<ProgramReport> = self.coverage.attach.iter().map(ProgramReport::of).collect();
        for (attach, program, verified) in &self.adopted {
            reports[*attach].add(program.as_fd(), *verified);
        }
        for (report, attach) in reports.iter_mut().zip(&self.coverage.attach) {
            let copies = attach.attached(self.copies.iter());
            for program in copies.filter_map(|ebpf| ebpf.program(attach.program)) {
                let verified = program.info().ok().and_then(|info| info.verified_instruction_count());
                if let Ok(fd) = program.fd() {
                    report.add(fd.as_fd(), verified.unwrap_or(0));
                }
            }
        }
        reports
    }

    /// Detaches everything and unpins the maps.
    pub fn remove(self) {
        let pins = self.pins.clone();
        drop(self);
        fault::point("stop.detached");
        if let Err(error) = remove_pins(&pins) {
            tracing::warn!(%error, "the shadow map stays pinned, and takes memory until `swaptier restore` removes it: {error}");
        }
        fault::point("stop.unpinned");
    }
}

/// The object with each call of number [`CAST`] made a call of the kernel's function with this BTF id (`BPF_PSEUDO_KFUNC_CALL`,
/// include/uapi/linux/bpf.h), which aya has no relocation for.
fn with_casts(object: &[u8], id: u32) -> Vec<u8> {
    const CALL: [u8; 4] = [0x85, 0, 0, 0];
    const KFUNC_CALL: [u8; 4] = [0x85, 2 << 4, 0, 0];
    let mut object = object.to_vec();
    for instruction in object.as_chunks_mut::<8>().0 {
        if instruction[..4] == CALL && instruction[4..] == CAST.to_le_bytes() {
            instruction[..4].copy_from_slice(&KFUNC_CALL);
            instruction[4..].copy_from_slice(&id.to_le_bytes());
        }
    }
    object
}

pub(super) fn load_program(ebpf: &mut Ebpf, attach: &Attach, btf: &Btf) -> Result<(), HookError> {
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

/// Attaches a program and takes its link out of aya's hands, which would detach it in the end.
pub(super) fn attach_program(ebpf: &mut Ebpf, attach: &Attach) -> Result<FdLink, HookError> {
    let error =
        |source| HookError::Program { program: attach.program, function: attach.function.clone(), source };
    match ebpf.program_mut(attach.program).ok_or(HookError::Map(attach.program))? {
        Program::FEntry(program) => {
            let id = program.attach().map_err(error)?;
            program.take_link(id).map(FdLink::from).map_err(error)
        }
        Program::FExit(program) => {
            let id = program.attach().map_err(error)?;
            program.take_link(id).map(FdLink::from).map_err(error)
        }
        _ => Err(HookError::Map(attach.program)),
    }
}

/// Whether every map is pinned here, with a directory of this many pages.
fn has_maps(pins: &Path, directory_pages: u32) -> bool {
    let entries =
        |name| MapData::from_pin(pins.join(name)).and_then(|map| map.info()).map(|info| info.max_entries());
    MAPS.iter().all(|name| entries(*name).is_ok_and(|found| *name != "DIRECTORY" || found == directory_pages))
}

/// The programs behind links, each with the instructions the verifier walked through.
fn programs_of(links: &[Pinned]) -> Vec<(usize, ProgramFd, u32)> {
    let info = |pinned: &Pinned| pinned.link.info().ok().map(|info| (info.program_id(), pinned.attach));
    let by_id: BTreeMap<u32, usize> = links.iter().filter_map(info).collect();
    loaded_programs()
        .flatten()
        .filter_map(|program| {
            let attach = *by_id.get(&program.id())?;
            Some((attach, program.fd().ok()?, program.verified_instruction_count().unwrap_or(0)))
        })
        .collect()
}

/// Removes the pins of a dead agent: its programs are detached, and the map is gone.
///
/// # Errors
/// The folder is there and cannot be removed.
pub fn remove_pins(pins: &Path) -> Result<(), HookError> {
    // What a successor began to take from the service manager is as much a dead agent's.
    for path in [pins.to_owned(), pins.with_file_name(handover::TAKING)] {
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(HookError::PinFolder { path, source });
            }
            _ => {}
        }
    }
    remove_other_layouts(pins)?;
    if let Some(parent) = pins.parent() {
        // Whatever else somebody put there stays.
        let _not_empty = fs::remove_dir(parent);
    }
    Ok(())
}

/// Removes the pins of agents whose maps had another layout: this one cannot read them, and their probes would run for ever.
fn remove_other_layouts(pins: &Path) -> Result<(), HookError> {
    let is_layout = |path: &PathBuf| {
        let version = path.file_name().and_then(|name| name.to_str()?.strip_prefix('v'));
        version.is_some_and(|version| version.parse::<u32>().is_ok()) && path != pins
    };
    let entries = pins.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(is_layout) {
        let shown = path.display();
        tracing::info!(path = %shown, "the probes of an agent with another map are taken away: {shown}");
        fs::remove_dir_all(&path).map_err(|source| HookError::PinFolder { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_another_layout_go_and_nothing_else() {
        let home = tempfile::tempdir().expect("a folder");
        let folders = ["v4/links-0", "v5/links-1", "v6", "vault", "other"].map(|name| home.path().join(name));
        folders.iter().for_each(|folder| fs::create_dir_all(folder).expect("made"));
        remove_other_layouts(&home.path().join("v5")).expect("removed");
        assert_eq!(folders.map(|folder| folder.exists()), [false, true, false, true, true]);
    }

    #[test]
    fn what_a_dead_successor_began_to_take_goes_with_the_pins() {
        let bpffs = tempfile::tempdir().expect("a folder");
        let home = bpffs.path().join("swaptier");
        fs::create_dir_all(home.join("taking/v5/links-0")).expect("made");
        remove_pins(&home.join("v5")).expect("removed");
        assert!(!home.exists(), "pins of nobody stay");
    }

    #[test]
    fn each_cast_becomes_a_call_of_the_kernel() {
        let calls = |object: &[u8], imm: u32| {
            object
                .as_chunks::<8>()
                .0
                .iter()
                .filter(|each| each[0] == 0x85 && each[4..] == imm.to_le_bytes())
                .count()
        };
        let (before, after) = (calls(OBJECT, CAST as u32), with_casts(OBJECT, 0x1234_5678));
        assert!(before > 5, "{before}");
        assert_eq!((calls(&after, CAST as u32), calls(&after, 0x1234_5678)), (0, before));
    }
}
