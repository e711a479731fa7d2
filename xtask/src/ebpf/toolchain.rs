//! The compilers that can build the probes: Debian's `rustc-web` with its precompiled core for BPF, or a rustup
//! nightly with rust-src; and bpf-linker, built for the same LLVM into `target/lab/tools`.
//! Only a rebuild of the probes asks for any of this. Called by `ebpf/mod.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, say, setup};

/// Where Debian's rustc keeps the precompiled core for BPF.
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";
/// Debian's compilers; they install beside rustup.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-llvm", "libstd-rust-web-dev-bpf"];
/// 0.13 is the first for LLVM 22 and 23.
const LINKER: &str = "0.13.0";
/// With `v1`, the default, a fetched atomic does not link; `v3` also has 32-bit arithmetic.
const CPU: &str = "v3";

/// Who compiles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compiler {
    Debian,
    Nightly,
}

/// A compiler and a linker of one LLVM.
pub(super) struct Toolchain {
    compiler: Compiler,
    llvm: u32,
}

impl Toolchain {
    /// What is here, complete, without installing anything.
    pub(super) fn installed() -> Option<Self> {
        let compiler =
            [Compiler::Debian, Compiler::Nightly].into_iter().find(|compiler| compiler.is_complete())?;
        let llvm = compiler.llvm().ok()?;
        let toolchain = Self { compiler, llvm };
        toolchain.linker().is_file().then_some(toolchain)
    }

    /// What is here, or what can be installed.
    pub(super) fn get() -> Result<Self> {
        let compiler = if Compiler::Debian.is_complete() {
            Compiler::Debian
        } else if Compiler::Nightly.is_complete() {
            Compiler::Nightly
        } else {
            install_compiler()?
        };
        let toolchain = Self { compiler, llvm: compiler.llvm()? };
        if !toolchain.linker().is_file() {
            toolchain.install_linker()?;
        }
        Ok(toolchain)
    }

    /// Compiler and linker in one line: two builds by the same name should be equal.
    pub(super) fn name(&self) -> Result<String> {
        let rustc = say::capture("asking rustc", self.compiler.rustc().arg("--version"))?;
        let linker = say::capture("asking bpf-linker", Command::new(self.linker()).arg("--version"))?;
        Ok(format!("{} and {} with LLVM {}", rustc.trim(), linker.trim(), self.llvm))
    }

    /// The build without its place.
    pub(super) fn cargo(&self) -> Result<Command> {
        let mut cargo = match self.compiler {
            Compiler::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                // aya-ebpf uses unstable features of core: on a stable compiler they want to be unlocked.
                cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                cargo.args(["build", "--release", "--locked", "--target", "bpfel-unknown-none"]);
                cargo
            }
            Compiler::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo", "build", "--release", "--locked"]);
                cargo.args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"]).env_remove("RUSTC");
                cargo
            }
        };
        // We run under another cargo, whose choices are not this one's.
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"]
        {
            cargo.env_remove(name);
        }
        cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", self.linker());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.flags()?.join("\u{1f}"));
        Ok(cargo)
    }

    /// Removes debug information from an object; without it the object is only larger.
    pub(super) fn strip(&self) -> Option<PathBuf> {
        let path = llvm_prefix(self.llvm).join("bin/llvm-strip");
        path.is_file().then_some(path)
    }

    /// Paths of this machine are mapped away, so that the object is the same wherever it is built.
    fn flags(&self) -> Result<Vec<String>> {
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
        let home = home.context("neither CARGO_HOME nor HOME is set")?;
        let sysroot = say::capture("asking rustc", self.compiler.rustc().args(["--print", "sysroot"]))?;
        let flags = [
            format!("target-cpu={CPU}"),
            "debuginfo=2".to_owned(),
            "link-arg=--btf".to_owned(),
            "link-arg=--log-level=error".to_owned(),
        ];
        let mut maps = vec![
            (paths::root(), "swaptier"),
            (PathBuf::from(sysroot.trim()), "rust"),
            (PathBuf::from(&home), "cargo"),
        ];
        // One folder per registry, named after where the crates were fetched from. The last map that fits wins.
        let registries = fs::read_dir(Path::new(&home).join("registry/src"));
        maps.extend(registries.into_iter().flatten().flatten().map(|entry| (entry.path(), "crates")));
        let mut all: Vec<String> = flags.into_iter().flat_map(|flag| ["-C".to_owned(), flag]).collect();
        all.extend(maps.into_iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
        Ok(all)
    }

    /// One per LLVM: a linker reads only the bitcode of its own.
    fn linker(&self) -> PathBuf {
        self.tools().join("bin/bpf-linker")
    }

    fn tools(&self) -> PathBuf {
        paths::lab().join(format!("tools/bpf-linker-{LINKER}-llvm-{}", self.llvm))
    }

    fn install_linker(&self) -> Result<()> {
        let prefix = llvm_prefix(self.llvm);
        if !prefix.join("include/llvm-c").is_dir() {
            let llvm = self.llvm;
            say::step(&format!("bpf-linker needs LLVM {llvm}'s development files"));
            setup::install(&[
                &format!("llvm-{llvm}-dev"),
                &format!("libpolly-{llvm}-dev"),
                "zlib1g-dev",
                "g++",
            ])?;
        }
        say::step(&format!("building bpf-linker {LINKER} for LLVM {} (about a minute)", self.llvm));
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "bpf-linker", "--locked", "--version", LINKER, "--no-default-features"]);
        cargo.args(["--features", &format!("llvm-{}", self.llvm), "--root"]).arg(self.tools());
        cargo.arg("--target-dir").arg(paths::lab().join("tools/build"));
        cargo.env("LLVM_PREFIX", prefix).env_remove("RUSTFLAGS");
        say::run("building bpf-linker", &mut cargo)?;
        Ok(())
    }
}

impl Compiler {
    fn rustc(self) -> Command {
        match self {
            Self::Debian => Command::new("/usr/bin/rustc"),
            Self::Nightly => {
                let mut rustc = Command::new("rustup");
                rustc.args(["run", "nightly", "rustc"]);
                rustc
            }
        }
    }

    fn is_complete(self) -> bool {
        match self {
            Self::Debian => Path::new(DEBIAN_CORE).is_dir() && Path::new("/usr/bin/cargo").is_file(),
            Self::Nightly => self.rustc().args(["--print", "sysroot"]).output().is_ok_and(|output| {
                let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
                output.status.success() && sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
            }),
        }
    }

    /// The major version of its LLVM.
    fn llvm(self) -> Result<u32> {
        let text = say::capture("asking rustc", self.rustc().arg("-vV"))?;
        let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|version| version.split('.').next()?.parse().ok());
        major.with_context(|| format!("rustc does not tell its LLVM version:\n{text}"))
    }
}

/// Debian's packages first: a compiler that fits is all they bring. Then rustup.
fn install_compiler() -> Result<Compiler> {
    say::step("the probes need a compiler with a core library for BPF");
    let debian = setup::install(&DEBIAN_PACKAGES);
    if debian.is_ok() && Compiler::Debian.is_complete() {
        return Ok(Compiler::Debian);
    }
    if let Err(error) = debian {
        say::note(&format!("Debian's packages cannot be had: {error:#}"));
    }
    say::note("trying a rustup nightly with rust-src");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"]);
    if let Err(error) = say::run("installing a nightly", &mut rustup) {
        bail!(
            "no compiler for the probes: {error:#}\nEither of these is enough:\n\n    \
             sudo apt-get install {}\n    rustup toolchain install nightly --component rust-src\n",
            DEBIAN_PACKAGES.join(" ")
        );
    }
    Ok(Compiler::Nightly)
}

fn llvm_prefix(llvm: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
}
