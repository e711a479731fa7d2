//! `swaptier agent`: the runtime and the logs the agent runs in.

use std::time::Duration;

use crate::exit::Result;
use crate::{agent, logs, root::Root};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read this configuration file instead of the layered ones
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Decide and log what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Run on cgroup files alone, without loading the probes
    #[arg(long)]
    no_bpf: bool,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    logs::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = agent::Options { config: args.config.clone(), dry_run: args.dry_run, no_bpf: args.no_bpf };
    let exit = runtime.block_on(agent::run(root.clone(), options));
    // A write that never returns must not keep the agent from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}
