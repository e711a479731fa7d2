//! How exactly `swaptier writeback` hits: asked and written pages, what it cost everybody else. The kernel's counters
//! are the measure; what swaptier says of its round is only compared with them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Options;
use crate::guest::agent::swaptier_json;
use crate::guest::kernel;
use crate::guest::scene::Scene;

/// Pages asked for, one round each.
const ASKED: [u64; 3] = [2_000, 4_000, 8_000];
/// Both are measured: the fallback's figures belong beside those of the first choice.
const DIALECTS: [&str; 2] = ["worker", "gate"];
/// Pages written beyond what was asked that are still exact enough.
const OVERSHOOT: u64 = 128;
/// Age the pages must have, and have when a round begins.
const OLDER_THAN: &str = "2s";
const AGED: Duration = Duration::from_secs(4);

/// memory.stat may lag behind for so long: small changes are only summed up every two seconds (mm/memcontrol.c).
const STATS_DELAY: Duration = Duration::from_millis(2500);

/// One line of the output.
#[derive(Debug, Serialize)]
pub(in crate::guest) struct Line {
    kernel: String,
    dialect: String,
    asked_pages: u64,
    pub(in crate::guest) written_pages: u64,
    sibling_pages: u64,
    /// Written back anywhere but in the victim and the sibling.
    elsewhere_pages: u64,
    lru_pages_reclaimed: u64,
    pool_bytes_freed: i64,
    seconds: f64,
}

impl Line {
    /// What is wrong with it as a round of the first choice.
    pub(in crate::guest) fn faults(&self) -> Vec<String> {
        let (asked, written) = (self.asked_pages, self.written_pages);
        let mut faults = Vec::new();
        if written < asked || written - asked > OVERSHOOT {
            faults.push(format!(
                "{written} pages written of {asked} asked (0 to {OVERSHOOT} more are allowed)"
            ));
        }
        if self.sibling_pages + self.elsewhere_pages > 0 {
            let (sibling, elsewhere) = (self.sibling_pages, self.elsewhere_pages);
            faults.push(format!("{sibling} pages of the sibling and {elsewhere} of others written back"));
        }
        if self.lru_pages_reclaimed * 100 > written {
            faults.push(format!(
                "{} pages reclaimed from LRU lists for {written} written",
                self.lru_pages_reclaimed
            ));
        }
        faults
    }
}

pub(super) fn run(options: &Options) -> Result<bool> {
    let mut scene = Scene::set()?;
    if !options.json {
        println!("dialect    asked  written  sibling  elsewhere  LRU reclaimed  seconds");
    }
    let mut faults = Vec::new();
    let wanted = |name: &&str| options.dialects.is_empty() || options.dialects.iter().any(|d| d == name);
    for dialect in DIALECTS.into_iter().filter(|d| wanted(d)) {
        for asked in ASKED {
            let line = round(&mut scene, dialect, asked)
                .with_context(|| format!("{asked} pages by the {dialect}"))?;
            show(&line, options.json)?;
            // The gate is measured, not promised.
            if dialect == DIALECTS[0] {
                faults.extend(line.faults().into_iter().map(|f| format!("{dialect}, {asked} pages: {f}")));
            }
        }
    }
    scene.finish()?;
    for fault in &faults {
        eprintln!("out of bounds: {fault}");
    }
    Ok(faults.is_empty())
}

/// One round on freshly aged pages.
pub(in crate::guest) fn round(scene: &mut Scene, dialect: &str, asked: u64) -> Result<Line> {
    scene.refill(AGED)?;
    let before = scene.counters()?;
    let max = asked.to_string();
    let path = scene.victim.path().to_owned();
    let arguments =
        ["writeback", &path, "--older-than", OLDER_THAN, "--max", &max, "--dialect", dialect, "--json"];
    let said = swaptier_json(&arguments)?;
    std::thread::sleep(STATS_DELAY);
    let after = scene.counters()?;
    let written_pages = after.victim - before.victim;
    Ok(Line {
        kernel: kernel::release(),
        dialect: said["dialect"].as_str().unwrap_or(dialect).to_owned(),
        asked_pages: asked,
        written_pages,
        sibling_pages: after.sibling - before.sibling,
        elsewhere_pages: (after.host - before.host)
            .saturating_sub(written_pages + after.sibling - before.sibling),
        lru_pages_reclaimed: after.reclaimed - before.reclaimed,
        pool_bytes_freed: before.pool as i64 - after.pool as i64,
        seconds: said["seconds"].as_f64().context("the round does not say how long it took")?,
    })
}

fn show(line: &Line, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(line).context("figures as JSON")?);
    } else {
        println!(
            "{:<9} {:>6}  {:>7}  {:>7}  {:>9}  {:>13}  {:>7.2}",
            line.dialect,
            line.asked_pages,
            line.written_pages,
            line.sibling_pages,
            line.elsewhere_pages,
            line.lru_pages_reclaimed,
            line.seconds
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(written_pages: u64, sibling_pages: u64, lru_pages_reclaimed: u64) -> Line {
        Line {
            kernel: String::new(),
            dialect: "worker".into(),
            asked_pages: 2_000,
            written_pages,
            sibling_pages,
            elsewhere_pages: 0,
            lru_pages_reclaimed,
            pool_bytes_freed: 0,
            seconds: 1.0,
        }
    }

    #[test]
    fn bounds_are_the_promised_ones() {
        // 1 % of 2,128 pages is 21.28.
        assert!(line(2_128, 0, 21).faults().is_empty());
        assert_eq!(line(2_129, 0, 0).faults().len(), 1);
        assert_eq!(line(1_999, 0, 0).faults().len(), 1);
        assert_eq!(line(2_000, 1, 21).faults().len(), 2);
    }
}
