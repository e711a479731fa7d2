//! Medians over the turns, what was promised, and how both are printed.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::contender::{CONTENDERS, Contender};
use super::figures::Figures;
use super::ground::Disk;
use crate::guest::kernel;

/// What was promised, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Goal {
    what: &'static str,
    value: f64,
    bound: f64,
    is_least: bool,
    pub(super) is_met: bool,
}

impl Goal {
    pub(super) fn at_least(what: &'static str, value: f64, bound: f64) -> Goal {
        Goal { what, value, bound, is_least: true, is_met: value >= bound }
    }

    pub(super) fn at_most(what: &'static str, value: f64, bound: f64) -> Goal {
        Goal { what, value, bound, is_least: false, is_met: value <= bound }
    }
}

/// The turns of one scenario on one disk.
pub(super) struct Summary {
    scenario: &'static str,
    disk: &'static str,
    rows: Vec<(Contender, Figures)>,
    failures: usize,
}

impl Summary {
    pub(super) fn new(scenario: &'static str, disk: Disk) -> Summary {
        Summary { scenario, disk: disk.name, rows: Vec::new(), failures: 0 }
    }

    pub(super) fn add(&mut self, contender: Contender, row: Result<Figures>) {
        match row {
            Ok(figures) => self.rows.push((contender, figures)),
            Err(_) => self.failures += 1,
        }
    }

    /// The medians of one contender; all 0 where no turn of it came to an end.
    pub(super) fn of(&self, contender: Contender) -> Figures {
        let of = |figure: fn(&Figures) -> f64| self.spread(contender, figure).1;
        Figures {
            work: of(|it| it.work),
            p50_ns: of(|it| it.p50_ns),
            p99_ns: of(|it| it.p99_ns),
            disk_read_mib: of(|it| it.disk_read_mib),
            disk_written_mib: of(|it| it.disk_written_mib),
            quiet_disk_pages: of(|it| it.quiet_disk_pages),
            straight_pages: of(|it| it.straight_pages),
            swapped_out_pages: of(|it| it.swapped_out_pages),
            written_back_pages: of(|it| it.written_back_pages),
            memory_mib: of(|it| it.memory_mib),
            memory_stall_percent: of(|it| it.memory_stall_percent),
            io_stall_percent: of(|it| it.io_stall_percent),
            own_seconds: of(|it| it.own_seconds),
            kernel_seconds: of(|it| it.kernel_seconds),
        }
    }

    /// swaptier's medians.
    pub(super) fn ours(&self) -> Figures {
        self.of(Contender::Swaptier)
    }

    /// The setting of the kernel alone that has most of this.
    pub(super) fn best_stock(&self, figure: fn(&Figures) -> f64) -> Contender {
        let stock = CONTENDERS.into_iter().filter(|contender| contender.is_stock());
        let of = |contender: &Contender| figure(&self.of(*contender));
        stock.max_by(|a, b| of(a).total_cmp(&of(b))).unwrap_or(Contender::Zswap)
    }

    /// Least, median and most of a figure.
    fn spread(&self, contender: Contender, figure: fn(&Figures) -> f64) -> (f64, f64, f64) {
        let own = self.rows.iter().filter(|(whose, _)| *whose == contender);
        let mut values: Vec<f64> = own.map(|(_, figures)| figure(figures)).collect();
        values.sort_by(f64::total_cmp);
        match values.as_slice() {
            [] => (0.0, 0.0, 0.0),
            [least, ..] => (*least, values[values.len() / 2], values[values.len() - 1]),
        }
    }

    /// One turn as an object.
    pub(super) fn json(&self, contender: Contender, turn: usize, row: &Result<Figures>) -> Result<String> {
        let mut object = json!({
            "kernel": kernel::release(),
            "scenario": self.scenario,
            "disk": self.disk,
            "contender": contender.name(),
            "turn": turn,
        });
        match row {
            // A workload that finds a page wrong ends its turn with an error.
            Ok(figures) => (object["figures"], object["page_mismatches"]) = (json!(figures), json!(0)),
            Err(error) => object["error"] = json!(format!("{error:#}")),
        }
        serde_json::to_string(&object).context("a turn as JSON")
    }

    pub(super) fn print(&self, goals: &[Goal], json: bool) -> Result<()> {
        if json {
            let object = json!({
                "kernel": kernel::release(),
                "scenario": self.scenario,
                "disk": self.disk,
                "goals": goals,
                "failed_turns": self.failures,
            });
            println!("{}", serde_json::to_string(&object).context("goals as JSON")?);
            return Ok(());
        }
        println!("{}", self.table());
        for goal in goals {
            let (Goal { what, value, bound, .. }, side) =
                (goal, if goal.is_least { "at least" } else { "at most" });
            let verdict = if goal.is_met { "met" } else { "MISSED" };
            println!("  {verdict:<6} {what}: {value:.2}, {side} {bound}");
        }
        if self.failures > 0 {
            println!("  {} turns came to no end", self.failures);
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = format!(
            "{}, {} disk, medians (work with its least and most)\n{:<16} {:>22} {:>8} {:>9} {:>8} {:>8} {:>8} \
             {:>8} {:>8} {:>6} {:>6} {:>6} {:>6} {:>6}",
            self.scenario,
            self.disk,
            "",
            "touches/s",
            "p50 us",
            "p99 us",
            "read MiB",
            "wr. MiB",
            "quiet in",
            "straight",
            "wr. back",
            "MiB",
            "mem %",
            "io %",
            "own s",
            "kern s",
        );
        for contender in CONTENDERS {
            let (least, median, most) = self.spread(contender, |it| it.work);
            let it = self.of(contender);
            // Writing to a string cannot fail.
            let _ = write!(
                table,
                "\n{:<16} {:>22} {:>8.0} {:>9.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>6.0} {:>6.1} {:>6.1} \
                 {:>6.1} {:>6.1}",
                contender.name(),
                format!("{median:.0} ({least:.0}-{most:.0})"),
                it.p50_ns / 1e3,
                it.p99_ns / 1e3,
                it.disk_read_mib,
                it.disk_written_mib,
                it.quiet_disk_pages,
                it.straight_pages,
                it.written_back_pages,
                it.memory_mib,
                it.memory_stall_percent,
                it.io_stall_percent,
                it.own_seconds,
                it.kernel_seconds,
            );
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::SSD;
    use super::*;

    #[test]
    fn the_best_stock_setting_is_by_medians_and_never_ours() {
        let mut summary = Summary::new("mix", SSD);
        let work = |work| Ok(Figures { work, ..Figures::default() });
        for (contender, works) in [
            (Contender::Zswap, [30.0, 90.0, 31.0]),
            (Contender::Shrinker, [70.0, 60.0, 65.0]),
            (Contender::Swaptier, [99.0, 99.0, 99.0]),
        ] {
            works.into_iter().for_each(|it| summary.add(contender, work(it)));
        }
        summary.add(Contender::Plain, Err(anyhow::anyhow!("it ended")));
        assert_eq!(summary.best_stock(|it| it.work), Contender::Shrinker);
        assert_eq!((summary.of(Contender::Shrinker).work, summary.of(Contender::Plain).work), (65.0, 0.0));
        assert_eq!(summary.failures, 1);
        assert!(summary.table().contains("65 (60-70)"), "{}", summary.table());
    }

    #[test]
    fn a_goal_is_met_at_its_bound() {
        assert!(Goal::at_least("work", 1.2, 1.2).is_met && !Goal::at_least("work", 1.19, 1.2).is_met);
        assert!(Goal::at_most("reads", 1.0, 1.0).is_met && !Goal::at_most("reads", f64::NAN, 1.0).is_met);
    }
}
