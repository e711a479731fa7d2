//! `cargo xtask fuzz`: hostile input, made by libFuzzer, for everything that reads text from outside.
//!
//! The targets and their bodies are in `tests/fuzz`; what they keep is in `tests/corpus`, and the suite tries it again on
//! stable Rust. `tools` is the compiler and cargo-fuzz, `run` one run of one target, `corpus` what is kept of it.

mod corpus;
mod run;
mod tools;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::{paths, say};
use run::Score;

/// Feeds hostile input to all that reads text from outside, and keeps what reaches new code.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Only these targets; the default is all of them.
    target: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// The workspace of the targets.
fn workspace() -> PathBuf {
    paths::root().join("tests/fuzz")
}

/// Runs the task and returns the process's exit code: 1 after a crash.
pub(crate) fn run(args: &Fuzz) -> Result<u8> {
    let all = corpus::names(&workspace().join("targets"))?;
    if let Some(unknown) = args.target.iter().find(|name| !all.contains(name)) {
        bail!("there is no target `{unknown}`; there are: {}", all.join(", "));
    }
    let chosen = if args.target.is_empty() { &all } else { &args.target };
    let _one_at_a_time = paths::lock("fuzz")?;
    let programs = tools::build(chosen)?;
    let mut scores = Vec::new();
    for (name, program) in chosen.iter().zip(&programs) {
        say::step(&format!("{name}: {} s", args.seconds));
        let score = run::run(name, program, args.seconds)?;
        corpus::renew(name, program)?;
        scores.push(score);
    }
    Ok(summary(&scores))
}

/// Prints what became of each target.
fn summary(scores: &[Score]) -> u8 {
    println!(
        "\n{:<10} {:>12} {:>10} {:>9} {:>7} {:>7}",
        "target", "executions", "a second", "RSS MiB", "inputs", "crashes"
    );
    for score in scores {
        println!(
            "{:<10} {:>12} {:>10} {:>9} {:>7} {:>7}",
            score.name,
            score.executions,
            score.executions / score.seconds.max(1),
            score.peak_mib,
            corpus::committed(&score.name).map_or(0, |inputs| inputs.len()),
            score.crashes.len()
        );
    }
    let crashes: Vec<_> =
        scores.iter().flat_map(|score| score.crashes.iter().map(move |path| (score, path))).collect();
    for (score, path) in &crashes {
        println!("\n{} crashed by {}\n{}", score.name, path.display(), score.why);
        println!("    mend it, and keep the input as tests/corpus/{}/NAME", score.name);
    }
    println!("{} crashes", crashes.len());
    u8::from(!crashes.is_empty())
}
