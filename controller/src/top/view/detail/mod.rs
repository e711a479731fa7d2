//! Details of one cgroup: how old its pages are (`ages`), how long it took to bring them back (`durations`), both drawn as
//! `bars`; how its rates went, who set its files, what was done and what is held back, and why.

mod ages;
mod bars;
mod durations;

use ratatui::text::{Line, Span};
use swaptier_policies::{Knob, Limit, Setting};

use super::{across, clipped, clock, span};
use crate::{
    serve::{
        detail::Detail,
        status::{CgroupStatus, MapState},
    },
    text,
    top::{layout::WIDE, paint::Tone, state::State},
};

/// All lines, for a screen this wide.
pub(super) fn lines(state: &State, width: usize) -> Vec<Line<'static>> {
    let Some(row) = state.chosen_row() else { return vec![across(state, "no cgroup is chosen", width)] };
    let cgroup = &row.cgroup;
    let detail =
        state.seen.as_ref().and_then(|seen| seen.detail.as_ref()).filter(|it| it.row.id == cgroup.id);
    let mut lines = vec![across(state, &title(state, cgroup), width)];
    let ages = detail.and_then(|detail| detail.ages.as_ref());
    let wide = width >= usize::from(WIDE);
    let column = if wide { width / 2 } else { width };
    let mut left = match ages {
        Some(ages) => ages::lines(state, ages, cgroup.older_than_seconds, row.page, column - 2),
        None => vec![Line::from(span(state, Tone::Faint, why_no_ages(state, detail)))],
    };
    if let Some(swap_ins) = detail.and_then(|detail| detail.swap_ins.as_ref()) {
        left.extend(durations::lines(state, swap_ins, column - 2));
    }
    let room = if wide { width - column } else { width };
    let mut right = course(state, cgroup, room);
    right.extend(limits(state, cgroup, room));
    if let Some(detail) = detail {
        right.extend(knobs(state, detail, room));
        right.extend(past(state, detail, room));
        right.extend(policies(state, detail, room));
    }
    if wide {
        lines.extend(beside(state, left, right, column, width));
    } else {
        lines.extend(left.into_iter().chain(right));
    }
    lines
}

fn title(state: &State, cgroup: &CgroupStatus) -> String {
    let path = if cgroup.path.is_empty() { "/" } else { &cgroup.path };
    let policy = cgroup.policy.as_deref().unwrap_or("no policy");
    let age =
        cgroup.older_than_seconds.map(|age| format!(", writes back what is older than {}", text::age(age)));
    let closed = if cgroup.closed_by_hand { ", closed by hand" } else { "" };
    state.look.name(&format!("{path} ({policy}{closed}{})", age.unwrap_or_default())).into_owned()
}

fn why_no_ages(state: &State, detail: Option<&Detail>) -> &'static str {
    let has_map = state.seen.as_ref().is_some_and(|seen| seen.status.map.state != MapState::Absent);
    match (has_map, detail) {
        (false, _) => "how old pages are is known with the map alone, and there is none",
        (true, None) => "waiting for the details",
        (true, Some(_)) => "how old its pages are is not known",
    }
}

/// Two columns of lines.
fn beside(
    state: &State,
    left: Vec<Line<'static>>,
    right: Vec<Line<'static>>,
    column: usize,
    width: usize,
) -> Vec<Line<'static>> {
    let count = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let line = |_| {
        let mut spans = clipped(state, left.next().unwrap_or_default().spans, column);
        let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
        spans.push(Span::raw(" ".repeat(column - used)));
        spans.extend(clipped(state, right.next().unwrap_or_default().spans, width - column));
        Line::from(spans)
    };
    (0..count).map(line).collect()
}

/// Three lines of small bars, newest at the right.
fn course(state: &State, cgroup: &CgroupStatus, width: usize) -> Vec<Line<'static>> {
    let steps = state.look.signs.steps;
    let room = width.saturating_sub(22);
    let mut lines = vec![Line::from(span(state, Tone::Strong, "BYTES A SECOND"))];
    for (which, name) in ["in", "out", "written back"].into_iter().enumerate() {
        let course: Vec<Option<u64>> = state.courses.of(cgroup.id, which).rev().take(room).collect();
        let most = course.iter().flatten().copied().max().unwrap_or(0);
        let step = |rate: &Option<u64>| match rate {
            None => " ",
            Some(rate) => {
                let nth = (u128::from(*rate) * (steps.len() as u128 - 1)).div_ceil(u128::from(most.max(1)));
                steps[usize::try_from(nth).unwrap_or(0).min(steps.len() - 1)]
            }
        };
        let line: String = course.iter().rev().map(step).collect();
        lines.push(Line::from(vec![
            span(state, Tone::Label, format!("{name:<13}")),
            span(
                state,
                Tone::Plain,
                format!("{:>5} ", course.first().copied().flatten().map_or("-".to_owned(), text::size)),
            ),
            span(state, Tone::Zswap, line),
        ]));
    }
    lines
}

fn limits(state: &State, cgroup: &CgroupStatus, room: usize) -> Vec<Line<'static>> {
    let limit = |limit: Limit| limit.finite().map_or_else(|| "max".to_owned(), |bytes| text::size(bytes.0));
    let is_told =
        |knob: &Knob| matches!(knob.fresh(), Setting::Limit(_)) && cgroup.settings.is_telling(*knob);
    let limits = Knob::ALL.into_iter().filter(is_told).map(|knob| {
        let file = knob.file().trim_start_matches("memory.");
        format!(", {file} {}", cgroup.settings.limit(knob).map_or_else(|| "-".to_owned(), limit))
    });
    let valve = match cgroup.settings.valve() {
        None => "-",
        Some(true) => "open",
        Some(false) if cgroup.closed_by_hand => "closed by hand",
        Some(false) => "closed",
    };
    let in_swap = cgroup.swap_current_bytes.map_or("-".to_owned(), text::size);
    let words: String = std::iter::once(format!("in swap {in_swap}")).chain(limits).collect();
    let mut lines = vec![Line::from(span(state, Tone::Strong, "LIMITS"))];
    lines.extend(sentence(state, Tone::Plain, &words, room));
    lines.push(Line::from(format!("way to disk {valve}")));
    lines
}

fn knobs(state: &State, detail: &Detail, room: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(span(state, Tone::Strong, "SET BY SWAPTIER"))];
    for knob in &detail.knobs {
        let file = knob.path.rsplit('/').next().unwrap_or_default();
        let words = format!("{file} = {}, was {}, by {}", knob.ours.trim(), knob.before.trim(), knob.by);
        lines.extend(sentence(state, Tone::Plain, &words, room));
    }
    if detail.knobs.is_empty() {
        lines.push(Line::from(span(state, Tone::Faint, "nothing")));
    }
    lines
}

/// What is held back, and what was done, newest first, each with its reason.
fn past(state: &State, detail: &Detail, room: usize) -> Vec<Line<'static>> {
    let strong = |text: &str| Line::from(span(state, Tone::Strong, text.to_owned()));
    let mut lines = Vec::new();
    if !detail.held.is_empty() {
        lines.push(strong("HELD BACK"));
    }
    for held in &detail.held {
        lines.extend(sentence(state, Tone::Plain, &format!("{} ({})", held.reason, held.policy), room));
    }
    if !detail.actions.is_empty() {
        lines.push(strong("DONE, NEWEST FIRST"));
    }
    for action in detail.actions.iter().rev() {
        let (sign, tone) = if action.is_trouble { ("! ", Tone::Care) } else { ("", Tone::Plain) };
        let words = format!("{} {sign}{}: {}", clock(action.unix_seconds), action.action, action.outcome);
        lines.extend(sentence(state, tone, &words, room));
        lines.extend(sentence(
            state,
            Tone::Plain,
            &format!("  why: {} ({})", action.reason, action.by),
            room,
        ));
    }
    lines
}

/// Which policies name it and what becomes of each, the winner first; and what the swap areas make of it.
fn policies(state: &State, detail: &Detail, room: usize) -> Vec<Line<'static>> {
    if detail.contenders.is_empty() && detail.fate.is_none() {
        return Vec::new();
    }
    let mut lines = vec![Line::from(span(state, Tone::Strong, "POLICIES THAT NAME IT"))];
    for contender in &detail.contenders {
        lines.extend(sentence(
            state,
            Tone::Plain,
            &format!("{} {}", contender.policy, contender.standing),
            room,
        ));
    }
    if let Some(fate) = &detail.fate {
        let (sign, tone) = if fate.can_work { ("", Tone::Plain) } else { ("! it cannot work: ", Tone::Care) };
        lines.extend(sentence(state, tone, &format!("{sign}{}", fate.says), room));
    }
    lines
}

/// A sentence in as many lines as it takes; all but the first stand further in.
fn sentence(state: &State, tone: Tone, words: &str, room: usize) -> Vec<Line<'static>> {
    let lines = text::wrapped(&state.look.name(words), room.saturating_sub(4)).into_iter().enumerate();
    lines
        .map(|(nth, words)| {
            Line::from(span(state, tone, if nth == 0 { words } else { format!("    {words}") }))
        })
        .collect()
}
