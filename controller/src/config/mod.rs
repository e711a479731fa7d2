//! `swaptier.toml`: the settings of the host, apart from the policies of its cgroups.
//!
//! Lives here: the keys, their defaults and their bounds. Which file of which folder counts, and whether it may be
//! trusted, is `layers.rs`'s; the policy files' own format is `swaptier_policies`'. Callers: the agent and `check`.

use std::net::SocketAddr;

use swaptier_policies::{Bytes, Fault, Marks, Pages, Seconds, SourceFile};

pub use area::{AreaConfig, MemoryBudget};
pub use layers::{ConfigError, POLICY_DIRS, Trust, load, policy_files, source};
pub use record::{LEAST_FILE, MOST_FILE, RecordConfig};
pub use zswap::ZswapSettings;

use read::{Reader, Table};

mod area;
mod layers;
mod read;
mod record;
mod zswap;

#[cfg(test)]
mod tests;

/// The settings of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[agent]`.
    pub agent: AgentConfig,
    /// `[map]`.
    pub map: MapConfig,
    /// `[writeback]`.
    pub writeback: WritebackConfig,
    /// `[zswap]`: empty means that the host's zswap is left as it is.
    pub zswap: ZswapSettings,
    /// `[record]`.
    pub record: RecordConfig,
    /// `[[area]]`: the swap areas this host shall have, in the order of the file.
    pub areas: Vec<AreaConfig>,
    /// `[socket]`.
    pub socket: SocketConfig,
    /// `[metrics]`.
    pub metrics: MetricsConfig,
}

/// `[socket]`: who may talk to the agent beside root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SocketConfig {
    /// The group whose members may look, and not act. `None`: root alone.
    pub group: Option<String>,
}

/// `[metrics]`: what is offered beside `swaptier metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// How many cgroups get series of their own; the rest is summed as `other`.
    pub cgroups: usize,
    /// Where the metrics are served over HTTP: an address of this host alone.
    pub listen: Option<SocketAddr>,
    /// The file that is written for node_exporter's textfile collector: an absolute path.
    pub textfile: Option<String>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        // Some 25 series each: a few thousand, which no scraper minds.
        MetricsConfig { cgroups: 100, listen: None, textfile: None }
    }
}

/// `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// How often the host is looked at.
    pub tick: Seconds,
    /// How often it is decided what to do. Not below `tick`.
    pub interval: Seconds,
    /// The folder of the undo log and the journal: an absolute path.
    pub state_dir: String,
    /// The folders of the policy files, the weakest first: absolute paths.
    pub policy_dirs: Vec<String>,
    /// How much the journal of ticks may take on disk.
    pub journal: Bytes,
}

impl Default for AgentConfig {
    fn default() -> Self {
        AgentConfig {
            tick: Seconds(1),
            interval: Seconds(5),
            state_dir: "/var/lib/swaptier".to_owned(),
            policy_dirs: POLICY_DIRS.map(str::to_owned).to_vec(),
            // An hour of ticks of a host with fifty cgroups.
            journal: Bytes(64 << 20),
        }
    }
}

/// `[map]`: the size of the shadow map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapConfig {
    /// How many slots of swap can be seen at all. `None`: as many as the map's own default.
    pub slots: Option<u64>,
    /// How many frames of 512 slots are kept ready for pages to come. `None`: the map's own default.
    pub reserve: Option<u64>,
    /// When it is measured how long swap-ins take.
    pub time_swap_ins: TimeSwapIns,
    /// What becomes of the map, and of the probes that keep it right, when the agent is stopped in order.
    pub keep: Keep,
}

/// For how long the map of an agent that was stopped in order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// While the service is restarted, by the service manager; without one that does so it is taken away.
    #[default]
    Restart,
    /// Until `swaptier restore`: the probes go on.
    Always,
    /// Not at all.
    Never,
}

const KEEP: [(&str, Keep); 3] =
    [("restart", Keep::Restart), ("always", Keep::Always), ("never", Keep::Never)];

/// When swap-ins are timed, which costs two programs more for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeSwapIns {
    /// While somebody looks at a cgroup in detail.
    #[default]
    Watched,
    /// As long as the agent runs.
    Always,
    /// Not at all.
    Never,
}

const TIME_SWAP_INS: [(&str, TimeSwapIns); 3] =
    [("watched", TimeSwapIns::Watched), ("always", TimeSwapIns::Always), ("never", TimeSwapIns::Never)];

/// `[writeback]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritebackConfig {
    /// How to write back.
    pub dialect: DialectChoice,
    /// The most that one round may ask for.
    pub max_pages_per_round: Pages,
    /// How long one write to a cgroup, or one round, may take.
    pub deadline: Seconds,
}

impl Default for WritebackConfig {
    fn default() -> Self {
        // 256 MiB at 4 KiB a page: a second or two of a slow disk.
        let max_pages_per_round = Pages(65_536);
        WritebackConfig { dialect: DialectChoice::Auto, max_pages_per_round, deadline: Seconds(30) }
    }
}

/// Which way of writing back is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectChoice {
    /// The best that this host has.
    Auto,
    /// The kernel's own key of `memory.reclaim`.
    Key,
    /// zswap's shrinker, called through debugfs.
    Shrinker,
    /// zswap's own shrink worker.
    Worker,
    /// A small `memory.reclaim` with the shrinker on.
    Gate,
    /// Nothing is written back.
    None,
}

impl DialectChoice {
    /// The choice with this name.
    pub fn named(name: &str) -> Option<DialectChoice> {
        DIALECTS.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
    }

    /// Whether the dialect of this name may be used.
    pub fn allows(self, dialect: &str) -> bool {
        self == DialectChoice::Auto || DIALECTS.contains(&(dialect, self))
    }
}

const DIALECTS: [(&str, DialectChoice); 6] = [
    ("auto", DialectChoice::Auto),
    ("key", DialectChoice::Key),
    ("shrinker", DialectChoice::Shrinker),
    ("worker", DialectChoice::Worker),
    ("gate", DialectChoice::Gate),
    ("none", DialectChoice::None),
];

/// The tables there are.
const TABLES: [&str; 8] = ["agent", "area", "map", "writeback", "zswap", "record", "socket", "metrics"];

impl Config {
    /// The marks of the area of this name: the defaults for one that is not in the file.
    #[must_use]
    pub fn marks(&self, area: &str) -> Marks {
        let own = self.areas.iter().find(|own| own.spec.name.as_str() == area);
        own.map_or_else(Marks::default, |own| own.marks)
    }

    /// Reads the text of a `swaptier.toml`; all that is wrong with it at once.
    pub fn parse(source: &SourceFile) -> Result<Config, Vec<Fault>> {
        let mut reader = Reader::new(source);
        let Some(tree) = reader.parse() else { return Err(reader.into_faults()) };
        let top = Table::top(&tree);
        reader.only(&top, &TABLES);
        let config = Config {
            agent: agent(&mut reader, &top),
            map: map(&mut reader, &top),
            writeback: writeback(&mut reader, &top),
            zswap: zswap::zswap(&mut reader, &top),
            record: record::record(&mut reader, &top),
            areas: area::areas(&mut reader, &top),
            socket: socket(&mut reader, &top),
            metrics: metrics(&mut reader, &top),
        };
        let faults = reader.into_faults();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }
}

fn agent(reader: &mut Reader<'_>, top: &Table<'_>) -> AgentConfig {
    let mut agent = AgentConfig::default();
    let known = ["tick", "interval", "state_dir", "policy_dirs", "journal"];
    let Some(table) = reader.table(top, "agent", &known) else { return agent };
    let absolute = "an absolute path without `..`";
    take(&mut agent.tick, seconds(reader, &table, "tick", 60));
    take(&mut agent.interval, seconds(reader, &table, "interval", 3600));
    take(&mut agent.state_dir, reader.text(&table, "state_dir", absolute, is_absolute));
    take(
        &mut agent.policy_dirs,
        reader.texts(&table, "policy_dirs", "a list of absolute paths", is_absolute),
    );
    take(&mut agent.journal, reader.quantity(&table, "journal", "a size such as \"64M\""));
    if agent.interval < agent.tick {
        let key = if table.key("interval").is_some() { "interval" } else { "tick" };
        let message = format!("`agent.interval` ({}) is below `agent.tick` ({})", agent.interval, agent.tick);
        reader.fault(&reader.at(&table, key), message, None);
    }
    agent
}

fn map(reader: &mut Reader<'_>, top: &Table<'_>) -> MapConfig {
    let known = ["slots", "reserve", "time_swap_ins", "keep"];
    let Some(table) = reader.table(top, "map", &known) else { return MapConfig::default() };
    MapConfig {
        // Up to 16 TiB of swap at 4 KiB a page.
        slots: reader.integer(&table, "slots", 512..=1 << 32),
        reserve: reader.integer(&table, "reserve", 1..=1 << 20),
        time_swap_ins: reader.word(&table, "time_swap_ins", &TIME_SWAP_INS).unwrap_or_default(),
        keep: reader.word(&table, "keep", &KEEP).unwrap_or_default(),
    }
}

fn writeback(reader: &mut Reader<'_>, top: &Table<'_>) -> WritebackConfig {
    let mut writeback = WritebackConfig::default();
    let known = ["dialect", "max_pages_per_round", "deadline"];
    let Some(table) = reader.table(top, "writeback", &known) else { return writeback };
    take(&mut writeback.dialect, reader.word(&table, "dialect", &DIALECTS));
    let pages = reader.integer(&table, "max_pages_per_round", 1..=1 << 32);
    take(&mut writeback.max_pages_per_round, pages.map(Pages));
    take(&mut writeback.deadline, seconds(reader, &table, "deadline", 600));
    writeback
}

fn socket(reader: &mut Reader<'_>, top: &Table<'_>) -> SocketConfig {
    let Some(table) = reader.table(top, "socket", &["group"]) else { return SocketConfig::default() };
    SocketConfig { group: reader.text(&table, "group", "the name of a group such as \"swaptier\"", is_group) }
}

fn metrics(reader: &mut Reader<'_>, top: &Table<'_>) -> MetricsConfig {
    let mut metrics = MetricsConfig::default();
    let known = ["cgroups", "listen", "textfile"];
    let Some(table) = reader.table(top, "metrics", &known) else { return metrics };
    let cgroups = reader.integer(&table, "cgroups", 0..=10_000);
    take(&mut metrics.cgroups, cgroups.and_then(|cgroups| usize::try_from(cgroups).ok()));
    let loopback = "an address of this host alone with a port, such as \"127.0.0.1:9812\"";
    let address = |text: &str| text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    let listen = reader.text(&table, "listen", loopback, |text| address(text).is_some());
    metrics.listen = listen.and_then(|text| address(&text));
    let wanted = "an absolute path that ends in `.prom`";
    let accept = |path: &str| is_absolute(path) && path.ends_with(".prom");
    metrics.textfile = reader.text(&table, "textfile", wanted, accept);
    metrics
}

/// A time from one second to `most` seconds.
fn seconds(reader: &mut Reader<'_>, table: &Table<'_>, key: &str, most: u64) -> Option<Seconds> {
    let time: Seconds = reader.quantity(table, key, "a time such as \"1s\"")?;
    if (1..=most).contains(&time.0) {
        return Some(time);
    }
    let message = format!("`{key}` must be from {} to {}, not {time}", Seconds(1), Seconds(most));
    reader.fault(&reader.at(table, key), message, None);
    None
}

fn take<T>(into: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *into = given;
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.split('/').any(|part| part == "..") && !path.contains('\0')
}

/// What `groupadd` lets through, and nothing that could be taken for another field of `/etc/group`.
fn is_group(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '\\');
    !name.is_empty() && name.len() < 256 && name.chars().all(is_plain)
}
