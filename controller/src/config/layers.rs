//! Which files of which folders count, and whether they may be trusted.
//!
//! `/usr/lib/swaptier` < `/etc/swaptier` < `/run/swaptier`: a file replaces the one of the same name in a weaker
//! folder, and an empty file or a link to `/dev/null` masks it. Laying the policy folders over each other is
//! `swaptier_policies::layer`'s. Caller: `config/mod.rs` for the agent and `check`.
//!
//! What is in these files is done as root, so they must be root's: see [`Trust`].

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use rustix::fs::{FileType, OFlags, Stat};
use swaptier_policies::{Fault, Place, SourceFile, close, layer};

use super::Config;
use crate::root::{Root, RootError};

/// The folders with a `swaptier.toml`, the weakest first, relative to the root.
const FOLDERS: [&str; 3] = ["usr/lib/swaptier", "etc/swaptier", "run/swaptier"];

/// The folders with the policy files, the weakest first, unless the configuration says others.
pub const POLICY_DIRS: [&str; 3] =
    ["/usr/lib/swaptier/policies.d", "/etc/swaptier/policies.d", close::FOLDER];

/// The most one file may hold: a policy is a page of text.
const MOST: u64 = 1 << 20;

/// Who must own the files. Whoever may write them decides what root does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Root alone owns and writes them, and their folder.
    Root,
    /// This user alone does.
    User(u32),
    /// Anybody may: for a folder that stands for the root, and for looking at files that are not in force.
    Anyone,
}

impl Trust {
    /// What the root asks for: root's files on the host, anybody's elsewhere.
    pub fn of(root: &Root) -> Trust {
        if root.is_system() { Trust::Root } else { Trust::Anyone }
    }

    /// What is wrong with the owner and the mode.
    fn objection(self, stat: &Stat) -> Option<String> {
        let owner = match self {
            Trust::Root => 0,
            Trust::User(uid) => uid,
            Trust::Anyone => return None,
        };
        if stat.st_uid != owner {
            return Some(format!("it belongs to uid {}, not to {owner}", stat.st_uid));
        }
        if stat.st_mode & 0o022 != 0 {
            return Some(format!("others may write it (mode {:o})", stat.st_mode & 0o7777));
        }
        None
    }
}

/// Why a configuration or policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] RootError),
    /// It may have been written by somebody who may not.
    #[error("{} is refused: {why}", path.display())]
    Untrusted {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It says something that cannot be done. All mistakes of the file.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Fault>),
}

/// The settings in force: those of `explicit` if it is given, which must then exist, else of the strongest folder, else
/// the defaults.
pub fn load(root: &Root, trust: Trust, explicit: Option<&str>) -> Result<Config, ConfigError> {
    match source(root, trust, explicit)? {
        Some(source) => Config::parse(&source).map_err(ConfigError::Invalid),
        None => Ok(Config::default()),
    }
}

/// The file that [`load`] reads; `None`: the defaults are in force.
pub fn source(root: &Root, trust: Trust, explicit: Option<&str>) -> Result<Option<SourceFile>, ConfigError> {
    match explicit {
        Some(path) => read_trusted(root, trust, path).map(Some),
        None => strongest(root, trust),
    }
}

/// The policy files in force in `dirs` (the weakest first), sorted by file name; everything that is wrong at once. A
/// folder that does not exist holds nothing.
pub fn policy_files(root: &Root, trust: Trust, dirs: &[String]) -> Result<Vec<SourceFile>, Vec<ConfigError>> {
    let (mut folders, mut errors) = (Vec::new(), Vec::new());
    for dir in dirs {
        let mut files = Vec::new();
        for path in listed(root, trust, dir).unwrap_or_else(|e| {
            errors.push(e);
            Vec::new()
        }) {
            match read_trusted(root, trust, &path) {
                Ok(file) => files.push(file),
                // Taken away since the folder was listed.
                Err(ConfigError::Read(e)) if e.is_gone() => {}
                Err(e) => errors.push(e),
            }
        }
        folders.push(files);
    }
    if errors.is_empty() { Ok(layer(&folders)) } else { Err(errors) }
}

/// The `swaptier.toml` of the strongest folder that has one; a masked one is none.
fn strongest(root: &Root, trust: Trust) -> Result<Option<SourceFile>, ConfigError> {
    for folder in FOLDERS.iter().rev() {
        match check_folder(root, trust, folder)
            .and_then(|()| read_trusted(root, trust, &format!("{folder}/swaptier.toml")))
        {
            Ok(source) => return Ok((!source.text.is_empty()).then_some(source)),
            Err(ConfigError::Read(e)) if e.is_gone() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// The `*.toml` files of a folder, as paths.
fn listed(root: &Root, trust: Trust, dir: &str) -> Result<Vec<String>, ConfigError> {
    let names = match check_folder(root, trust, dir).and_then(|()| Ok(root.list(dir)?)) {
        Err(ConfigError::Read(e)) if e.is_gone() => Vec::new(),
        names => names?,
    };
    let is_policy = |name: &String| name.ends_with(".toml") && !name.starts_with('.');
    Ok(names.into_iter().filter(is_policy).map(|name| format!("{dir}/{name}")).collect())
}

fn check_folder(root: &Root, trust: Trust, dir: &str) -> Result<(), ConfigError> {
    let fd = root.open(dir, OFlags::PATH | OFlags::DIRECTORY)?;
    let stat = stat(root, dir, &fd)?;
    refuse(root, dir, trust.objection(&stat))
}

/// Reads one file, after looking at who may have written it. A link to `/dev/null` reads as empty.
fn read_trusted(root: &Root, trust: Trust, path: &str) -> Result<SourceFile, ConfigError> {
    let name = root.host_path(path).display().to_string();
    let place = Place::File(format!("/{}", path.trim_start_matches('/')));
    if let (_, Some(target)) = root.inspect(path)? {
        let why =
            format!("it is a link to {target}; only a link to /dev/null, which masks the file, is taken");
        refuse(root, path, (target != "/dev/null").then_some(why))?;
        return Ok(SourceFile { name, place, text: String::new() });
    }
    // What is opened is looked at again: it may have been exchanged. A pipe must not make us wait.
    let fd = root.open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
    let stat = stat(root, path, &fd)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    refuse(root, path, (!is_file).then(|| "it is not a regular file".to_owned()))?;
    refuse(root, path, trust.objection(&stat))?;
    let mut bytes = Vec::new();
    let read = File::from(fd).take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|source| RootError { path: root.host_path(path), action: "read", source })?;
    refuse(root, path, (bytes.len() as u64 > MOST).then(|| format!("it is longer than {MOST} bytes")))?;
    let text = String::from_utf8(bytes)
        .or_else(|_| refuse(root, path, Some("it is not UTF-8".to_owned())).map(|()| String::new()))?;
    Ok(SourceFile { name, place, text })
}

fn stat(root: &Root, path: &str, fd: &std::os::fd::OwnedFd) -> Result<Stat, ConfigError> {
    let failed =
        |e: rustix::io::Errno| RootError { path: root.host_path(path), action: "stat", source: e.into() };
    Ok(rustix::fs::fstat(fd).map_err(failed)?)
}

fn refuse(root: &Root, path: &str, why: Option<String>) -> Result<(), ConfigError> {
    match why {
        None => Ok(()),
        Some(why) => Err(ConfigError::Untrusted { path: root.host_path(path), why }),
    }
}
