//! The last line: what is asked or answered, else the keys that are used most.

use ratatui::text::{Line, Span};

use super::{clipped, span};
use crate::top::{
    keys::{Group, KEYS, Key},
    paint::Tone,
    state::{
        State,
        prompt::{Order, Prompt},
    },
};

/// The line.
pub(super) fn line(state: &State) -> Line<'static> {
    let spans = match (&state.prompt, &state.notice) {
        (Some(prompt), _) => asked(state, prompt),
        (None, Some((is_trouble, words))) => {
            let (sign, tone) = if *is_trouble { ("! ", Tone::Care) } else { ("", Tone::Strong) };
            vec![span(state, tone, format!("{sign}{}", state.look.name(words)))]
        }
        (None, None) => keys(state),
    };
    Line::from(clipped(state, spans, usize::from(state.size.width)))
}

fn keys(state: &State) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut room = usize::from(state.size.width);
    let origin = &state.origin;
    let can_be_used = |key: &&Key| match key.group {
        Group::Act => origin.can_act,
        _ => origin.is_recorded || !key.cmd.is_of_recordings(),
    };
    // How to find out more and how to leave are there on every screen, and in a recording how to go through it.
    let is_first = |key: &&Key| key.group == Group::Program || key.cmd.is_of_recordings();
    let (first, others): (Vec<&Key>, Vec<&Key>) = KEYS.iter().filter(can_be_used).partition(is_first);
    for key in first.into_iter().chain(others) {
        let (Some(foot), Some(press)) = (key.foot, key.presses.first()) else { continue };
        let (name, foot) = (press.name(), format!(" {foot}  "));
        if name.len() + foot.trim_end().len() > room {
            break;
        }
        room = room.saturating_sub(name.len() + foot.len());
        spans.push(span(state, Tone::Key, name));
        spans.push(Span::raw(foot));
    }
    // The gap behind the last one may have no room.
    if let Some(last) = spans.last_mut() {
        *last = Span::raw(last.content.trim_end().to_owned());
    }
    spans
}

fn asked(state: &State, prompt: &Prompt) -> Vec<Span<'static>> {
    let strong = |text: String| span(state, Tone::Strong, text);
    let keys = |text: &str| span(state, Tone::Faint, text.to_owned());
    match prompt {
        Prompt::Filter(_) => vec![
            strong("filter: ".to_owned()),
            typed(state, state.filter(), true),
            keys("  Enter keeps it, Esc takes it back"),
        ],
        Prompt::Seek(text) => vec![
            strong("go to (UTC): ".to_owned()),
            typed(state, text, true),
            keys("  as in 14:05:30; Enter goes, Esc leaves it"),
        ],
        Prompt::Reload => vec![
            strong("Have the agent read its policies anew? ".to_owned()),
            keys("Enter does it, Esc leaves it"),
        ],
        Prompt::Valve { cgroup, is_closed } => {
            let what = if *is_closed { "Open the way to disk of" } else { "Close the way to disk of" };
            vec![strong(format!("{what} {}? ", short(state, cgroup))), keys("Enter does it, Esc leaves it")]
        }
        Prompt::Writeback(order) => ordered(state, order),
    }
}

/// The end of the path tells cgroups apart, so the middle is what gives way.
fn short(state: &State, cgroup: &str) -> String {
    let path = if cgroup.is_empty() { "/" } else { cgroup };
    crate::text::shortened(&state.look.name(path), 20, state.look.signs.cut).into_owned()
}

fn ordered(state: &State, order: &Order) -> Vec<Span<'static>> {
    let strong = |text: String| span(state, Tone::Strong, text);
    let name = short(state, &order.cgroup);
    let mut spans = vec![
        strong(format!("Write back {name} older than ")),
        typed(state, &order.fields[0], order.at == 0),
        strong(" max ".to_owned()),
        typed(state, &order.fields[1], order.at == 1),
    ];
    spans.push(match &order.fault {
        Some(fault) => span(state, Tone::Care, format!("  ! {}", state.look.name(fault))),
        None => span(state, Tone::Faint, "  Enter: do it, Esc: not, Tab: next"),
    });
    spans
}

/// A text that is typed; where, is shown by a sign and not by a colour alone.
fn typed(state: &State, text: &str, is_here: bool) -> Span<'static> {
    let text = state.look.name(text);
    if is_here {
        span(state, Tone::Chosen, format!("{text}_"))
    } else {
        span(state, Tone::Plain, format!("[{text}]"))
    }
}
