//! A kernel that swaptier cannot work on: it must say so, by name, and touch nothing.

use anyhow::{Result, ensure};

use crate::guest::agent::swaptier;
use crate::guest::bpf;
use crate::guest::knobs::Knobs;
use crate::guest::stage::Stage;

/// Exit code of a kernel or host that cannot do it.
const UNSUPPORTED: i32 = 4;
/// What an operator must read: the file by which write-back is aimed, and where there is one.
const WORDS: [&str; 2] = ["memory.zswap.writeback", "missing"];

/// `doctor` and both ways to start an agent end with the code for it and name what is missing.
pub(super) fn a_kernel_without_the_means_is_refused_by_name() -> Result<()> {
    let _stage = Stage::set(40)?;
    let (knobs, objects) = (Knobs::read()?, bpf::objects());
    for arguments in [&["doctor"][..], &["agent"], &["agent", "--no-bpf"]] {
        let outcome = swaptier(arguments)?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        println!("    swaptier {}: exit code {}", arguments.join(" "), outcome.code);
        said.lines().filter(|line| line.contains(WORDS[1])).for_each(|line| println!("        {line}"));
        ensure!(outcome.code == UNSUPPORTED, "{arguments:?} ended with {}:\n{said}", outcome.code);
        ensure!(WORDS.iter().all(|word| said.contains(word)), "{arguments:?} does not say why:\n{said}");
    }
    let differences = knobs.differences(&Knobs::read()?);
    ensure!(differences.is_empty(), "refused, and changed {}", differences.join("; "));
    ensure!(
        bpf::objects() == objects,
        "refused, and left BPF objects: {:?}, were {objects:?}",
        bpf::objects()
    );
    Ok(())
}
