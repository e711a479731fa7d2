//! `swaptier agent`: the runtime and the logs the agent runs in.

use std::{io::IsTerminal as _, time::Duration};

use tracing_subscriber::EnvFilter;

use super::exit::Result;
use crate::{agent, root::Root};

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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(is_coloured)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = agent::Options { config: args.config.clone(), dry_run: args.dry_run, no_bpf: args.no_bpf };
    let exit = runtime.block_on(agent::run(root.clone(), options));
    // A write that never returns must not keep the agent from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}
