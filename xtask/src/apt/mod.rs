//! A private apt: Debian's archive read with our own lists and cache under `target/lab/apt`, one folder per suite.
//! It needs no root and leaves the machine's apt alone, whose proxies and other settings it inherits.
//! Every list is verified against the Debian archive keyring. Called by `kernel/` and, through
//! `tree.rs`, for the programs the lab uses.

pub(crate) mod mirrors;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{paths, say};

/// Lists younger than this are not fetched again.
const FRESH: Duration = Duration::from_secs(12 * 3600);
pub(crate) use mirrors::is_known as is_mirror_known;
pub(crate) use tree::tree;

/// Where the package debian-archive-keyring puts the keys.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which of Debian's archives a suite lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// The main archive.
    Debian,
    /// Security updates.
    Security,
}

/// A Debian suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its name in the archive.
    pub(crate) name: &'static str,
    /// The archive that carries it.
    pub(crate) archive: Archive,
}

/// One version of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its Debian version.
    pub(crate) version: String,
}

/// An apt that sees one suite.
pub(crate) struct Apt {
    config: PathBuf,
    suite: Suite,
}

impl Apt {
    /// Opens a suite: writes the private configuration and fetches the lists when they are not fresh.
    pub(crate) fn open(suite: Suite) -> Result<Self> {
        let dir = paths::lab().join("apt").join(suite.name);
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            paths::create(&dir.join(folder))?;
        }
        write(&dir.join("status"), "")?;
        write(&dir.join("apt.conf"), &configuration(&dir))?;
        let apt = Self { config: dir.join("apt.conf"), suite };
        if !is_fresh(&dir.join("updated")) {
            apt.update(&dir)?;
        }
        Ok(apt)
    }

    /// The mirror that gave the lists.
    pub(crate) fn mirror(&self) -> Result<String> {
        let stamp = self.config.with_file_name("updated");
        fs::read_to_string(&stamp).with_context(|| format!("reading {}", stamp.display()))
    }

    /// The packages whose names start with `prefix`, every version of each.
    pub(crate) fn packages(&self, prefix: &str) -> Result<Vec<Package>> {
        let names = say::capture("listing packages", self.command("apt-cache").args(["pkgnames", prefix]))?;
        let names: Vec<&str> = names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let table = say::capture("listing versions", self.command("apt-cache").arg("madison").args(names))?;
        Ok(table.lines().filter_map(parse_madison).collect())
    }

    /// The newest version of the package `name`.
    pub(crate) fn newest(&self, name: &str) -> Result<Package> {
        let found = self.packages(name)?.into_iter().find(|package| package.name == name);
        found.with_context(|| format!("Debian's {} has no package {name}", self.suite.name))
    }

    /// The package `name` and all it depends on, on a machine that has nothing.
    pub(crate) fn with_dependencies(&self, name: &str) -> Result<Vec<Package>> {
        let arguments = ["-q", "--simulate", "--no-install-recommends", "install", name];
        let plan = say::capture("resolving dependencies", self.command("apt-get").args(arguments))?;
        Ok(plan.lines().filter_map(parse_planned).collect())
    }

    /// Downloads packages into `dir` and unpacks them, one over the other, into `tree`.
    pub(crate) fn unpack(&self, packages: &[Package], dir: &Path, tree: &Path) -> Result<()> {
        paths::create(tree)?;
        for (package, file) in packages.iter().zip(self.download(packages, dir)?) {
            let label = format!("unpacking {}", package.name);
            say::run(&label, Command::new("dpkg").arg("-x").arg(file).arg(tree))?;
        }
        Ok(())
    }

    /// Downloads packages into `dir` and returns their files in the same order. apt checks their hashes against the signed
    /// list.
    fn download(&self, packages: &[Package], dir: &Path) -> Result<Vec<PathBuf>> {
        paths::create(dir)?;
        let label = match packages {
            [package] => format!("downloading {} {}", package.name, package.version),
            _ => format!("downloading {} packages", packages.len()),
        };
        say::note(&label);
        let what = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        say::run(&label, self.command("apt-get").args(["-q", "download"]).args(what).current_dir(dir))?;
        let files = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
        let files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
        packages.iter().map(|package| file_of(package, &files, dir)).collect()
    }

    /// Tries the machine's mirrors, then debootstrap's default, until one carries the suite with Debian's signature.
    fn update(&self, dir: &Path) -> Result<()> {
        if !Path::new(KEYRING).exists() {
            bail!(
                "{KEYRING} is missing: install the package debian-archive-keyring (`cargo xtask setup` does)"
            );
        }
        let mut failures = Vec::new();
        for mirror in mirrors::of_machine(self.suite.archive) {
            let line = format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {} main\n", self.suite.name);
            write(&dir.join("sources.list"), &line)?;
            say::note(&format!("reading the package lists of {} from {mirror}", self.suite.name));
            // Error-Mode=any: without it a mirror that cannot be reached is only a warning.
            let mut command = self.command("apt-get");
            command.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]);
            match say::run(&format!("package lists of {}", self.suite.name), &mut command) {
                Ok(_) => return write(&dir.join("updated"), &mirror),
                Err(error) => failures.push(format!("{mirror}: {error:#}")),
            }
        }
        if dir.join("updated").exists() {
            say::note(&format!("no mirror answers; going on with older lists of {}", self.suite.name));
            return Ok(());
        }
        bail!("no mirror gave the package lists of {}:\n{}", self.suite.name, failures.join("\n"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // A file given here is read after the machine's own configuration, so it wins.
        command.arg("--config-file").arg(&self.config).env("LC_ALL", "C.UTF-8");
        command
    }
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"// Written by xtask.
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{dir}/state";
Dir::State::lists "{dir}/state/lists";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}/cache";
Dir::Cache::archives "{dir}/cache/archives";
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

fn file_of(package: &Package, files: &[PathBuf], dir: &Path) -> Result<PathBuf> {
    let start = format!("{}_", package.name);
    let found = files
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)));
    found.cloned().with_context(|| format!("apt-get left no file of {} in {}", package.name, dir.display()))
}

fn is_fresh(stamp: &Path) -> bool {
    let age = fs::metadata(stamp).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}

/// `name | version | source`
fn parse_madison(line: &str) -> Option<Package> {
    let mut columns = line.split('|').map(str::trim);
    let (name, version) = (columns.next()?, columns.next()?);
    let from = columns.next()?;
    from.ends_with("Packages").then(|| Package { name: name.to_owned(), version: version.to_owned() })
}

/// `Inst name (version suite [architecture])`, or with `[installed version]` before the parenthesis.
fn parse_planned(line: &str) -> Option<Package> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.split_once('(')?.1.split(' ').next()?;
    Some(Package { name: name.to_owned(), version: version.to_owned() })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{parse_madison, parse_planned};

    #[test]
    fn a_madison_line_gives_name_and_version_and_sources_are_skipped() {
        let line = " linux-image-6.18.15+deb13-amd64 | 6.18.15-1~bpo13+1 | http://m/debian trixie/main amd64 Packages";
        let package = parse_madison(line).expect("a package line");
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("linux-image-6.18.15+deb13-amd64", "6.18.15-1~bpo13+1")
        );
        assert_eq!(parse_madison("linux | 6.1.1-1 | http://m/debian bookworm/main Sources"), None);
    }

    #[test]
    fn of_a_planned_installation_only_what_is_unpacked_counts() {
        let line = "Inst qemu-system-x86 (1:10.0.13+ds-0+deb13u1 Debian:13.7/stable [amd64]) []";
        let package = parse_planned(line).expect("a package");
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("qemu-system-x86", "1:10.0.13+ds-0+deb13u1")
        );
        assert_eq!(parse_planned("Conf seabios (1.16.3-2 Debian:13.7/stable [all])"), None);
        assert_eq!(parse_planned("Inst"), None);
    }
}
