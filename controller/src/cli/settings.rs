//! What the commands share before they do anything: the configuration and the policies in force, the state folder, and
//! how their errors become exit codes. Called by the commands; the agent's own life is not here.

use std::path::PathBuf;

use swaptier_policies::PolicySet;

use crate::exit::{Exit, Failure};
use crate::{
    config::{self, Config, ConfigError, Trust},
    journal::UndoError,
    root::Root,
    sense::{self, CgroupTree, SenseError, Sensed, SwapArea},
    vswap::{self, Seen},
};

/// The settings in force.
pub(super) fn config(root: &Root) -> Result<Config, Failure> {
    config::load(root, Trust::of(root), None).map_err(of_config)
}

/// The policies in force; all that is wrong with them at once.
pub(super) fn policies(root: &Root, config: &Config) -> Result<PolicySet, Failure> {
    let files = config::policy_files(root, Trust::of(root), &config.agent.policy_dirs)
        .map_err(|errors| all(errors.into_iter().map(of_config)))?;
    PolicySet::load(&files).map_err(|faults| of_config(ConfigError::Invalid(faults)))
}

/// The swap areas that are on, with what was noted of them.
pub(super) fn areas(root: &Root, config: &Config, swaps: &[SwapArea]) -> Result<Seen, Failure> {
    let known = vswap::seen::known(root, &state_dir(root, config)).map_err(|error| {
        let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Failed };
        Failure::new(exit, error)
    })?;
    Ok(vswap::seen::see(root, swaps, &known, |name| config.marks(name)))
}

/// The same with those that the configuration asks for and that are not on yet.
pub(super) fn configured_areas(root: &Root, config: &Config) -> Result<Seen, Failure> {
    let swaps = sense::swaps::read(root).map_err(of_sense)?;
    let mut seen = areas(root, config, &swaps)?;
    let areas = &mut seen.views;
    for own in &config.areas {
        if !areas.iter().any(|area| vswap::seen::is_part_of(area, own.spec.name.as_str())) {
            areas.push(vswap::seen::intended(&own.spec));
        }
    }
    Ok(seen)
}

/// What the host's files say now.
pub(super) fn sensed(root: &Root) -> Result<Sensed, Failure> {
    sense::cgroupfs::check(root).map_err(of_sense)?;
    sense::collect(root, &mut CgroupTree::default()).map_err(of_sense)
}

/// The configured state folder.
pub(super) fn state_dir(root: &Root, config: &Config) -> PathBuf {
    root.host_path(&config.agent.state_dir)
}

/// A configuration that cannot be used.
fn of_config(error: ConfigError) -> Failure {
    let exit = match &error {
        ConfigError::Read(read) if is_refused(read.errno()) => Exit::NotPermitted,
        ConfigError::Read(_) => Exit::Failed,
        ConfigError::Untrusted { .. } | ConfigError::Invalid(_) => Exit::Invalid,
    };
    Failure::new(exit, error)
}

/// A state folder or an undo log that cannot be used.
pub(super) fn of_undo(error: UndoError) -> Failure {
    match &error {
        UndoError::Held { .. } => Failure::say(
            Exit::Busy,
            format!("{error}: stop it first (an agent that stops gives everything back by itself)"),
        ),
        UndoError::Io { source, .. } if is_refused(source.raw_os_error()) => {
            Failure::new(Exit::NotPermitted, error)
        }
        UndoError::Unsafe { .. } => Failure::new(Exit::NotPermitted, error),
        UndoError::Io { .. }
        | UndoError::Corrupt { .. }
        | UndoError::Version { .. }
        | UndoError::Broken { .. } => Failure::new(Exit::Failed, error),
    }
}

/// A host that cannot be read.
fn of_sense(error: SenseError) -> Failure {
    let exit = match &error {
        SenseError::NoCgroup2 { .. } | SenseError::NoMemoryController { .. } => Exit::Unsupported,
        SenseError::Read(read) if is_refused(read.errno()) => Exit::NotPermitted,
        SenseError::Read(_) | SenseError::Unexpected { .. } => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// All messages, and the code of the first.
fn all(failures: impl Iterator<Item = Failure>) -> Failure {
    let failures: Vec<Failure> = failures.collect();
    let exit = failures.first().map_or(Exit::Failed, |failure| failure.exit);
    let messages: Vec<String> = failures.iter().map(Failure::text).collect();
    Failure::say(exit, messages.join("\n"))
}

fn is_refused(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::EACCES | libc::EPERM))
}
