//! Who manages memory in a turn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::senpai::Senpai;
use crate::guest::agent::Agent;
use crate::guest::zswap;

/// Where operators put settings and policies.
const SETTINGS: &str = "/etc/swaptier/swaptier.toml";
const FOLDER: &str = "/etc/swaptier/policies.d";

/// One way to manage memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// Swap on the disk, without zswap.
    Plain,
    /// zswap, as Debian configures it.
    Zswap,
    /// The same with zswap's own shrinker.
    Shrinker,
    /// zswap with a daemon that reclaims by pressure.
    Senpai,
    /// swaptier with the scenario's policies.
    Swaptier,
}

/// In the order of their turns.
pub(super) const CONTENDERS: [Contender; 5] =
    [Contender::Plain, Contender::Zswap, Contender::Shrinker, Contender::Senpai, Contender::Swaptier];

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Plain => "plain swap",
            Contender::Zswap => "zswap",
            Contender::Shrinker => "zswap, shrinker",
            Contender::Senpai => "zswap, Senpai",
            Contender::Swaptier => "swaptier",
        }
    }

    /// Whether the kernel alone does it: what swaptier must beat.
    pub(super) fn is_stock(self) -> bool {
        matches!(self, Contender::Plain | Contender::Zswap | Contender::Shrinker)
    }

    /// Begins to manage; zswap is set up already.
    pub(super) fn begin(self, policies: &[(&str, &str)]) -> Result<Manager> {
        match self {
            Contender::Plain => zswap::set("enabled", "N")?,
            Contender::Shrinker => zswap::set("shrinker_enabled", "Y")?,
            Contender::Zswap | Contender::Senpai | Contender::Swaptier => {}
        }
        Ok(match self {
            Contender::Plain | Contender::Zswap | Contender::Shrinker => Manager::Kernel,
            Contender::Senpai => Manager::Senpai(Senpai::begin()),
            Contender::Swaptier => {
                let files = Files::write(policies)?;
                Manager::Swaptier(Agent::start(&[])?, files)
            }
        })
    }
}

/// What manages in a turn.
pub(super) enum Manager {
    Kernel,
    Senpai(Senpai),
    Swaptier(Agent, Files),
}

impl Manager {
    pub(super) fn end(self) -> Result<()> {
        match self {
            Manager::Kernel => Ok(()),
            Manager::Senpai(senpai) => senpai.end(),
            Manager::Swaptier(agent, _files) => agent.stop(),
        }
    }
}

/// Guard of settings and policies: gone at drop.
pub(super) struct Files(Vec<String>);

impl Files {
    fn write(policies: &[(&str, &str)]) -> Result<Files> {
        fs::create_dir_all(FOLDER).with_context(|| format!("creating {FOLDER}"))?;
        let mut files = Files(Vec::new());
        let settings = (SETTINGS.to_owned(), "[agent]\ninterval = \"1s\"\n");
        let policies = policies.iter().map(|(name, text)| (format!("{FOLDER}/{name}"), *text));
        for (path, text) in policies.chain([settings]) {
            fs::write(&path, text).with_context(|| format!("writing {path}"))?;
            files.0.push(path);
        }
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            // Gone is as good.
            let _ = fs::remove_file(Path::new(path));
        }
    }
}
