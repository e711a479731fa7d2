//! A replay for people: what was decided the same, what differs, and two policies side by side.

use std::fmt::Write as _;

use super::{Replayed, utc};
use crate::cli::output::{Paint, Side as Align, Table, Tone, or_unknown, plain};
use crate::recording::replay::{Other, Report, Tally};

pub(super) fn render(replayed: &Replayed, paint: Paint) -> String {
    let report = &replayed.report;
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = writeln!(
        text,
        "{} frames from {} to {} UTC, by swaptier {} ({}) on Linux {}",
        report.frames,
        utc(replayed.from),
        utc(replayed.to),
        plain(&replayed.swaptier),
        plain(&replayed.by),
        plain(&replayed.kernel),
    );
    for loss in &replayed.losses {
        let _ = writeln!(text, "{} {loss}", paint.tone(Tone::Care, "lost:"));
    }
    for gap in &replayed.unreadable {
        let _ = writeln!(text, "{} {gap}", paint.tone(Tone::Bad, "cannot be read:"));
    }
    verdict(&mut text, report, paint);
    for one in &report.differences {
        let _ = writeln!(text, "frame {} at {} UTC:", one.frame, utc(one.unix_ms));
        for line in &one.recorded {
            let _ = writeln!(text, "  - {line}");
        }
        for line in &one.now {
            let _ = writeln!(text, "  + {line}");
        }
    }
    if let Some(other) = &report.other {
        beside(&mut text, other, paint);
    }
    text
}

fn verdict(text: &mut String, report: &Report, paint: Paint) {
    let Report { decisions, same, different, unproven, histories, refused, .. } = report;
    let line = match (different, unproven) {
        (0, 0) => format!("{same} of {decisions} decisions are the same again"),
        (0, unproven) => format!(
            "{same} of {decisions} decisions are the same again; {unproven} could not be decided again, because what \
             came before them is lost"
        ),
        (different, _) => format!("{different} of {decisions} decisions are not the same again, {same} are"),
    };
    let tone = if *different == 0 { Tone::Good } else { Tone::Bad };
    let _ = writeln!(text, "{}", paint.tone(tone, &line));
    if *histories > 0 {
        let _ = writeln!(text, "{histories} times the memory of budgets and rounds was not the recorded one");
    }
    for fault in refused {
        let _ = writeln!(text, "this swaptier does not take the recorded policies: {}", plain(fault));
    }
}

fn beside(text: &mut String, other: &Other, paint: Paint) {
    let Other { cgroups, same_steps, decisions, .. } = other;
    let _ =
        writeln!(text, "\nThe other policies take the same steps at {same_steps} of {decisions} decisions.");
    let mut table = Table::new([
        ("CGROUP", Align::Left),
        ("", Align::Left),
        ("POLICY", Align::Left),
        ("CHANGES", Align::Right),
        ("ROUNDS", Align::Right),
        ("PAGES ASKED", Align::Right),
        ("LARGEST", Align::Right),
        ("WRITTEN", Align::Right),
        ("SET TO, HELD BACK", Align::Left),
    ]);
    let mut sides: Vec<_> = cgroups.values().collect();
    sides.sort_by(|a, b| a.path.cmp(&b.path));
    for side in sides {
        let at_least = if side.is_at_least { "\u{2265}" } else { "" };
        for (n, (name, tally)) in [("did", &side.done), ("would", &side.would)].into_iter().enumerate() {
            let least = if n == 1 { at_least } else { "" };
            table.row([
                if n == 0 { side.path.clone() } else { String::new() },
                name.to_owned(),
                or_unknown(tally.policy.as_ref()),
                tally.changes.to_string(),
                tally.rounds.to_string(),
                format!("{least}{}", tally.asked_pages),
                tally.largest_round_pages.to_string(),
                or_unknown(tally.written_pages),
                what(tally),
            ]);
        }
    }
    text.push_str(&table.render(paint));
    text.push_str(
        "\nThe recorded host does not react to what would have been done: a limit stays as it was, and pages that would \
         have been written back\nare cold again at the next decision, so PAGES ASKED may count them again and LARGEST does \
         not. What they would have cost or saved is not known.\n",
    );
    if cgroups.values().any(|side| side.is_at_least) {
        text.push_str(
            "\u{2265}: the recording knows how many pages are as old as this policy asks by powers of two only; there were \
             at least so many.\n",
        );
    }
}

fn what(tally: &Tally) -> String {
    let files = tally.files.iter().map(|(file, value)| format!("{file} = {value}"));
    let held = tally.held.values().map(|kind| format!("{} \u{d7} {}", kind.decisions, kind.last));
    files.chain(held).collect::<Vec<_>>().join("; ")
}
