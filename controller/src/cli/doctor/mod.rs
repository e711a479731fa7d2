//! `swaptier doctor`: what this host can do, what it cannot, what that costs, and what to change. Changes nothing.
//!
//! What the host offers is `probe`'s to say; here are the kinds of swap areas
//! (`kinds`), what the agent made of it (`own`), what zswap has of the settings (`zswap`), what cannot be looked at (`unseen`), the printing and the exit code.

mod kinds;
mod own;
mod unseen;
mod zswap;

use std::fmt::Write as _;

use serde::Serialize;

use super::output::{Paint, Tone, plain, say, say_json};
use crate::{
    exit::{Exit, Result},
    probe::{self, About, Finding, Level},
    root::Root,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// All that was found. The JSON of `--json` is a versioned interface.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    /// The worst of all findings.
    level: Level,
    findings: Vec<Finding>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let mut findings = probe::judge(&probe::read(root));
    // A ghost over zram takes no memory, and no page is written to it.
    findings.retain(|finding| finding.about != About::Zram || own::has_zram_of_others(root));
    findings.extend(kinds::findings(root));
    let own = own::findings(root, &findings);
    findings.extend(own);
    let report = Report::of(findings);
    if args.json {
        say_json(&report)?
    } else {
        say(&report.render(Paint::of_stdout()))?
    }
    Ok(report.exit())
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Self { schema: 1, level, findings }
    }

    fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        for finding in &self.findings {
            let (word, tone) = word(finding.level);
            let _ = writeln!(
                text,
                "{}  {:<13}  {}",
                paint.tone(tone, &format!("{word:<7}")),
                finding.about,
                plain(&finding.says)
            );
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "{:26}{}", "", plain(fix));
            }
        }
        let verdict = match self.level {
            Level::Ok => "all is there",
            Level::Warn => "the agent can do its job; see the warnings",
            Level::Lost => "the agent can run, and cannot do all of its job; see what is lost",
            Level::Missing => "the agent cannot do its job here; see what is missing",
        };
        let _ = writeln!(text, "\n{verdict}");
        text
    }

    fn exit(&self) -> Exit {
        let is_missing = |finding: &&Finding| finding.level == Level::Missing;
        let (own, host): (Vec<&Finding>, Vec<&Finding>) = self
            .findings
            .iter()
            .filter(is_missing)
            .partition(|finding| finding.about == About::Configuration);
        match (host.is_empty(), own.is_empty()) {
            (false, _) => Exit::Unsupported,
            (true, false) => Exit::Invalid,
            (true, true) => Exit::Done,
        }
    }
}

fn word(level: Level) -> (&'static str, Tone) {
    match level {
        Level::Ok => ("ok", Tone::Good),
        Level::Warn => ("warn", Tone::Care),
        Level::Lost => ("lost", Tone::Bad),
        Level::Missing => ("missing", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    fn report(fake: &FakeRoot) -> Report {
        let mut findings = probe::judge(&probe::read(fake.root()));
        findings.extend(own::findings(fake.root(), &[]));
        Report::of(findings)
    }

    #[test]
    fn a_host_that_can_do_it_is_well() {
        let fake = FakeRoot::host();
        let report = report(&fake);
        assert_eq!(report.exit(), Exit::Done, "{}", report.render(Paint::NONE));
        assert!(report.level < Level::Missing);
    }

    #[test]
    fn a_kernel_without_the_valve_is_refused_and_all_is_still_listed() {
        let fake = FakeRoot::host();
        let before = report(&fake).findings.len();
        fake.remove("sys/fs/cgroup/memory.zswap.writeback");
        let report = report(&fake);
        assert_eq!((report.exit(), report.findings.len()), (Exit::Unsupported, before));
        let text = report.render(Paint::NONE);
        assert!(text.contains("missing  valve          memory.zswap.writeback is missing"), "{text}");
        assert!(text.ends_with("\nthe agent cannot do its job here; see what is missing\n"), "{text}");
    }

    #[test]
    fn a_wrong_policy_is_not_blamed_on_the_host() {
        let fake = FakeRoot::host();
        fake.write("etc/swaptier/policies.d/bad.toml", "schema = 9\n");
        assert_eq!(report(&fake).exit(), Exit::Invalid);
        fake.remove("sys/fs/cgroup/memory.zswap.writeback");
        assert_eq!(report(&fake).exit(), Exit::Unsupported);
    }

    #[test]
    fn a_finding_is_a_line_and_its_remedy_the_next() {
        let finding = Finding::new(About::Swap, Level::Lost, "no area\x1b").fix("swapon");
        let text = Report::of(vec![finding]).render(Paint::NONE);
        let expected = "lost     swap           no area\\u{1b}\n                          swapon\n\n\
                        the agent can run, and cannot do all of its job; see what is lost\n";
        assert_eq!(text, expected);
    }
}
