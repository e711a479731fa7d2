//! An explanation for people. Pure.

use std::fmt::Write as _;

use swaptier_policies::{Bytes, Seconds};

use super::Explanation;
use crate::cli::output::{Paint, Side, Table, Tone, or_unknown, plain};

// Writing into a `String` cannot fail: the results of `writeln!` below are dropped.
pub(super) fn render(said: &Explanation, paint: Paint) -> String {
    let mut text = String::new();
    let path = if said.cgroup.is_root() { "/".to_owned() } else { said.cgroup.to_string() };
    let there = match (said.id, &said.policy) {
        (None, _) => "there is no such cgroup now; made at this path, it would have",
        (Some(_), _) => "has",
    };
    let policy =
        said.policy.as_deref().map_or("no policy".to_owned(), |policy| format!("the policy {policy}"));
    let colon = if said.id.is_none() { ":" } else { "" };
    let line = format!("{}{colon} {there} {}", plain(&path), plain(&policy));
    let _ = writeln!(text, "{}", paint.tone(Tone::Strong, &line));
    for contender in &said.contenders {
        let _ = writeln!(text, "  {} {}", plain(&contender.policy), plain(&contender.standing));
    }
    knobs(&mut text, said, paint);
    ages(&mut text, said);
    let heading = format!("held back, by {}", said.held_by);
    list(&mut text, paint, &heading, said.held.iter().map(|held| plain(held)));
    let steps = said.steps.iter().map(|done| {
        let ago = Seconds(done.ago_seconds);
        plain(&format!("{ago} ago: {} ({}): {}", done.action, done.reason, done.outcome))
    });
    list(&mut text, paint, "done last", steps);
    list(&mut text, paint, "also", said.notes.iter().map(|note| plain(note)));
    text
}

fn knobs(text: &mut String, said: &Explanation, paint: Paint) {
    let titles = ["FILE", "NOW", "WANTED", "BECAUSE", "SET BY"].map(|title| (title, Side::Left));
    let mut table = Table::new(titles);
    for knob in &said.knobs {
        let (now, wanted) = (knob.current.as_deref().map(size), knob.wanted.as_deref().map(size));
        let (because, set_by) = (knob.because.clone(), knob.set_by.clone());
        table.row([knob.file.to_owned(), or_unknown(now), or_unknown(wanted), because, set_by]);
    }
    if !table.is_empty() {
        let _ = write!(text, "\n{}", table.render(paint));
    }
}

fn ages(text: &mut String, said: &Explanation) {
    let Some(age) = said.older_than_seconds.map(Seconds) else { return };
    let _ = write!(text, "\npages may be written back once they have been in zswap for {age}");
    match said.now.as_ref().and_then(|row| Some((row.cold_pages?, row.oldest_seconds))) {
        Some((cold, oldest)) => {
            let oldest =
                oldest.map_or(String::new(), |oldest| format!(", the oldest for {}", Seconds(oldest)));
            let _ = writeln!(text, ": now {cold} have{oldest}");
        }
        None => text.push_str("; how many have is not known without the agent's map\n"),
    }
}

fn list(text: &mut String, paint: Paint, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, heading));
    }
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// A number of bytes for people; a valve's 0 or 1 and the word `max` as they are.
fn size(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(bytes) if bytes > 1 => Bytes(bytes).to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::explain::{Contender, KnobRow, past::Done};
    use crate::serve::status::CgroupStatus;

    const GOLDEN: &str = "\
batch.slice has the policy batch.toml
  batch.toml wins by \"batch.slice\"

FILE                    NOW      WANTED    BECAUSE              SET BY
memory.swap.max         8.0 KiB  16.0 MiB  the policy gives it  not swaptier
memory.zswap.writeback  0        -         no policy            not swaptier

pages may be written back once they have been in zswap for 10m: now 300 have, the oldest for 1h

held back, by the agent, at its last decision
  no swap area is on

done last
  5s ago: memory.swap.max = max (is 0 B): /x: gone

also
  a note
";

    #[test]
    fn an_explanation_reads_as_the_golden_text() {
        let knob = |file, now: &str, wanted: Option<&str>, because: &str| KnobRow {
            file,
            current: Some(now.into()),
            wanted: wanted.map(str::to_owned),
            because: because.into(),
            set_by: "not swaptier".into(),
        };
        let said = Explanation {
            schema: 1,
            cgroup: "batch.slice".into(),
            id: Some(7),
            agent_running: true,
            policy: Some("batch.toml".into()),
            contenders: vec![Contender {
                policy: "batch.toml".into(),
                standing: "wins by \"batch.slice\"".into(),
            }],
            older_than_seconds: Some(600),
            knobs: vec![
                knob("memory.swap.max", "8192", Some("16777216"), "the policy gives it"),
                knob("memory.zswap.writeback", "0", None, "no policy"),
            ],
            now: Some(CgroupStatus {
                cold_pages: Some(300),
                oldest_seconds: Some(3600),
                ..CgroupStatus::default()
            }),
            steps: vec![Done {
                unix: 0,
                ago_seconds: 5,
                action: "memory.swap.max = max".into(),
                reason: "is 0 B".into(),
                outcome: "/x: gone".into(),
            }],
            held: vec!["no swap area is on".into()],
            held_by: "the agent, at its last decision".into(),
            notes: vec!["a note".into()],
        };
        assert_eq!(render(&said, Paint::NONE), GOLDEN);
    }
}
