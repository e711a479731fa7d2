//! What a replay needs beside the frames: on which host a recording was made, by what, and under which policies. Read from
//! the host once, when a recording begins.

use serde::{Deserialize, Serialize};
use swaptier_policies::{Fault, PolicySet, SourceFile};

use crate::{
    config::{self, Config, Trust},
    probe,
    root::Root,
};

/// Everything a replay needs beside the frames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Version of the swaptier that recorded.
    pub swaptier: String,
    /// What it was: `agent`, `agent --dry-run` or `record`.
    pub by: String,
    /// Release of the kernel, as `uname -r`.
    pub kernel: String,
    /// What `doctor` found of this host, one line each.
    pub host: Vec<String>,
    /// Seconds between two looks at the host.
    pub tick: u64,
    /// Seconds between two decisions.
    pub interval: u64,
    /// `swaptier.toml`: file name and text; empty when the defaults were in force.
    pub config: Option<(String, String)>,
    /// The policy files in force: name and text.
    pub policies: Vec<(String, String)>,
}

impl Terms {
    /// Those of this host. `by` is what records, `explicit` another configuration file than the layered ones.
    pub fn of(
        root: &Root,
        by: &str,
        explicit: Option<&str>,
        config: &Config,
        policies: &[SourceFile],
    ) -> Terms {
        let facts = probe::read(root);
        let host = probe::judge(&facts).into_iter().map(|found| format!("{}: {}", found.about, found.says));
        let source = config::source(root, Trust::of(root), explicit).ok().flatten();
        Terms {
            swaptier: env!("CARGO_PKG_VERSION").to_owned(),
            by: by.to_owned(),
            kernel: facts.release.clone().unwrap_or_default(),
            host: host.collect(),
            tick: config.agent.tick.0,
            interval: config.agent.interval.0,
            config: source.map(|source| (source.name, source.text)),
            policies: texts(policies),
        }
    }

    /// From now on these policies are in force.
    pub fn follow(&mut self, policies: &[SourceFile]) {
        self.policies = texts(policies);
    }

    /// The policies as they were in force.
    ///
    /// # Errors
    /// This version of swaptier does not take what the recording one took.
    pub fn policy_set(&self) -> Result<PolicySet, Vec<Fault>> {
        let file = |(name, text): &(String, String)| SourceFile::text(name, text);
        PolicySet::load(&self.policies.iter().map(file).collect::<Vec<_>>())
    }
}

fn texts(policies: &[SourceFile]) -> Vec<(String, String)> {
    policies.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
}
