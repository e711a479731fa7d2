//! What `swaptier status --json` says, as a shape: schema 1. Whatever it leaves out reads as unknown or nothing.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::agent::swaptier;

/// The whole answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the shape; 1.
    pub schema: u32,
    /// The agent itself.
    pub agent: AgentView,
    /// The shadow map's health.
    pub map: MapView,
    /// Every cgroup the map or a policy knows.
    pub cgroups: Vec<CgroupView>,
    /// Rounds of write-back, oldest first.
    pub rounds: Vec<Round>,
}

/// The agent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AgentView {
    /// An agent holds the state folder and answers.
    pub running: bool,
    /// Ticks since it started.
    pub tick: u64,
}

/// The shadow map.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MapView {
    /// `exact`, or why it is not.
    pub state: String,
    /// Seconds since its slots were walked.
    pub age_seconds: Option<u64>,
    /// Memory it locks, bytes.
    pub locked_bytes: u64,
    /// Pages in zswap by the map minus by the kernel, host-wide, when last compared.
    pub drift_pages: i64,
    /// Slots that were wrong and were put right.
    pub repaired_pages: u64,
    /// Chunks of 256 KiB it has.
    pub chunks: u64,
    /// Bytes of them that hold the words of clusters in use.
    pub used_bytes: u64,
}

/// One cgroup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CgroupView {
    /// Path beneath the cgroup root.
    pub path: String,
    /// File name of the policy in force.
    pub policy: Option<String>,
    /// Pages in zswap by the map.
    pub zswap_pages: u64,
    /// Their compressed bytes by the map.
    pub zswap_compressed_bytes: u64,
    /// Pages on disk by the map.
    pub phys_pages: u64,
    /// Pages whose age is not known: stored before the map began.
    pub unknown_pages: u64,
    /// Pages in zswap by the map minus by the kernel.
    pub drift_pages: i64,
    /// Pages in zswap older than `older_than_seconds`.
    pub cold_pages: u64,
    /// The age its policy asks for.
    pub older_than_seconds: Option<u64>,
    /// Age of its oldest page in zswap.
    pub oldest_seconds: Option<u64>,
    /// Pages stored in zswap since the map began.
    pub stored_pages: u64,
    /// Pages written back since the map began.
    pub written_back_pages: u64,
}

/// One round of write-back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Round {
    /// Path of the cgroup.
    pub cgroup: String,
    /// How it was done.
    pub dialect: String,
    /// Pages asked for.
    pub asked_pages: u64,
    /// Pages written back in this cgroup.
    pub written_pages: u64,
    /// Of them, those that had been in zswap for as long as the policy asks.
    pub cold_pages: u64,
    /// No page written was older than this.
    pub oldest_seconds: u64,
    /// Pages written back in any other cgroup meanwhile.
    pub sibling_pages: u64,
    /// Pages that the round reclaimed from the cgroup's lists, but for what it had written itself.
    pub lru_pages_reclaimed: u64,
    /// Pages of the swap cache given up at its end.
    #[serde(default)]
    pub cache_pages_freed: u64,
    /// By how many pages more memory the host had available after it.
    #[serde(default)]
    pub available_pages_gained: i64,
    /// Frames the pool gave back.
    pub pool_pages_freed: i64,
    /// Duration.
    pub seconds: f64,
    /// Why it ended: `target`, or what stopped it.
    pub ended: String,
}

impl Status {
    /// Asks for it now.
    ///
    /// # Errors
    /// When `swaptier status --json` fails or answers in another shape.
    pub fn read() -> Result<Status> {
        let outcome = swaptier(&["status", "--json"])?;
        let code = outcome.code;
        ensure!(code == 0, "swaptier status ended with {code}:\n{}", outcome.stderr.trim());
        let status: Status = serde_json::from_str(&outcome.stdout)
            .with_context(|| format!("swaptier status printed:\n{}", outcome.stdout.trim()))?;
        ensure!(status.schema == 1, "swaptier status has schema {}, this program knows 1", status.schema);
        Ok(status)
    }

    /// The cgroup of this path; all zero when the map has nothing of it yet.
    #[must_use]
    pub fn cgroup(&self, path: &str) -> CgroupView {
        self.cgroups.iter().find(|c| c.path == path).cloned().unwrap_or_default()
    }

    /// The rounds of one cgroup.
    pub fn rounds_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Round> {
        self.rounds.iter().filter(move |r| r.cgroup == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_shape_is_read() {
        let text = r#"{"schema":1,"agent":{"running":true,"tick":9},"host":{},
            "map":{"state":"exact","chunks":1,"locked_bytes":4096,"drift_pages":-2,"recursion_misses":0},
            "cgroups":[{"path":"demo.slice/cold","id":77,"policy":"demo-cold.toml","zswap_pages":10,"cold_pages":7,
                "older_than_seconds":5,"oldest_seconds":8,"written_back_pages":3,"swap_max":"max"}],
            "rounds":[{"cgroup":"demo.slice/cold","dialect":"worker","asked_pages":2000,"written_pages":2004,
                "overshoot_pages":4,"seconds":0.5,"ended":"target"}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.map.drift_pages, status.cgroup("demo.slice/cold").cold_pages), (-2, 7));
        assert_eq!(status.rounds_of("demo.slice/cold").map(|r| r.written_pages).sum::<u64>(), 2004);
        assert_eq!(status.cgroup("nobody").zswap_pages, 0);
    }
}
