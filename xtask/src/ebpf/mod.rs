//! `cargo xtask ebpf`: builds the probes from source into `ebpf/swaptier.bpf.o`, which is part of the repository so
//! that building swaptier needs stable Rust alone; or checks that the object is not older than its sources.
//! The compilers are `toolchain.rs`'s business.

mod toolchain;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use sha2::{Digest, Sha256};

use self::toolchain::Toolchain;
use crate::{paths, say};

/// The built object, in the repository.
const OBJECT: &str = "ebpf/swaptier.bpf.o";
/// What the object was built from and by: beside it, in the repository.
const RECORD: &str = "ebpf/swaptier.bpf.o.sources";
/// What decides the object's content, beside the toolchain.
const SOURCES: [&str; 4] = ["ebpf/src", "common/src", "ebpf/Cargo.toml", "ebpf/Cargo.lock"];

/// Builds the probes from source, or checks the built object.
#[derive(Args)]
pub(crate) struct Ebpf {
    /// Only checks that the object belongs to the sources; needs no toolchain.
    #[arg(long)]
    check: bool,
    /// Builds again and compares with the object, when the toolchain is here already. Installs nothing.
    #[arg(long, conflicts_with = "check")]
    verify_build: bool,
}

/// Runs the task.
pub(crate) fn run(args: &Ebpf) -> Result<()> {
    if args.check {
        return check();
    }
    if args.verify_build {
        return verify_build();
    }
    let toolchain = Toolchain::get()?;
    // Before the build: an edit made while it runs must leave the object looking old.
    let sources = sources_hash()?;
    let object = build(&toolchain)?;
    let record = Record { sources, object: hex(&Sha256::digest(&object)), toolchain: toolchain.name()? };
    write(OBJECT, &object)?;
    write(RECORD, record.to_text().as_bytes())?;
    say::note(&format!("{OBJECT}: {} bytes", object.len()));
    Ok(())
}

/// Fails when the object does not belong to the sources.
pub(crate) fn check() -> Result<()> {
    let record = Record::read()?;
    if record.sources != sources_hash()? {
        bail!("{OBJECT} is older than its sources ({}): run `cargo xtask ebpf`", SOURCES.join(", "));
    }
    if record.object != hex(&Sha256::digest(read(Path::new(OBJECT))?)) {
        bail!("{OBJECT} is not the object {RECORD} tells of: run `cargo xtask ebpf`");
    }
    say::step("the probes' object belongs to its sources");
    Ok(())
}

/// Builds again with the toolchain that is here, if it is the recorded one, and compares byte by byte.
pub(crate) fn verify_build() -> Result<()> {
    check()?;
    let record = Record::read()?;
    let Some(toolchain) = Toolchain::installed() else {
        say::note("not rebuilt for comparison: the probes' toolchain is not installed here");
        return Ok(());
    };
    let name = toolchain.name()?;
    if name != record.toolchain {
        say::note(&format!(
            "not rebuilt for comparison: the object was built by {}, here is {name}",
            record.toolchain
        ));
        return Ok(());
    }
    if hex(&Sha256::digest(build(&toolchain)?)) != record.object {
        bail!("a fresh build differs from {OBJECT}: run `cargo xtask ebpf` and commit both files");
    }
    say::step("a fresh build of the probes is the object in the repository, byte by byte");
    Ok(())
}

/// Builds the object and returns it without debug information: BTF stays, which is what the loader reads.
fn build(toolchain: &Toolchain) -> Result<Vec<u8>> {
    say::step(&format!("building the probes with {}", toolchain.name()?));
    let target = paths::root().join("target/ebpf");
    let mut cargo = toolchain.cargo()?;
    cargo.current_dir(paths::root().join("ebpf")).arg("--target-dir").arg(&target);
    say::patiently("compiling", || say::show("building the probes", &mut cargo))?;
    let built = target.join("bpfel-unknown-none/release/swaptier");
    let stripped = target.join("swaptier.bpf.o");
    match toolchain.strip() {
        Some(strip) => {
            let mut command = Command::new(strip);
            say::run("stripping the probes", command.arg("-g").arg(&built).arg("-o").arg(&stripped))?;
            read(&stripped)
        }
        None => read(&built),
    }
}

/// `RECORD`'s content: `key value` lines.
struct Record {
    sources: String,
    object: String,
    toolchain: String,
}

impl Record {
    fn to_text(&self) -> String {
        format!("sources {}\nobject {}\ntoolchain {}\n", self.sources, self.object, self.toolchain)
    }

    fn read() -> Result<Self> {
        let text =
            String::from_utf8(read(Path::new(RECORD))?).with_context(|| format!("{RECORD} is not text"))?;
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            found.map(str::to_owned).with_context(|| format!("{RECORD} has no line {key:?}"))
        };
        Ok(Self { sources: value("sources")?, object: value("object")?, toolchain: value("toolchain")? })
    }
}

/// One hash over names and contents of all sources, in sorted order.
fn sources_hash() -> Result<String> {
    let root = paths::root();
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        let content = read(&file)?;
        hash.update(format!("{name}\0{}\0", content.len()));
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a file given absolutely or from the repository's root.
fn read(path: &Path) -> Result<Vec<u8>> {
    let path = paths::root().join(path);
    fs::read(&path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &str, content: &[u8]) -> Result<()> {
    let path = paths::root().join(path);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
}
