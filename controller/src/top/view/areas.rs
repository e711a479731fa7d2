//! The areas pane: what the kernel swaps to, what is in it, and how full the disk under a virtual area is.

use ratatui::text::Line;

use super::{bar, filled, span, spread};
use crate::{
    serve::status::{AreaStatus, PoolStatus},
    text,
    top::{layout::WIDE, paint::Tone, state::State},
};

/// How wide a bar is, where there is room for one.
const BAR: usize = 20;

/// Titles, then a line for each area, and one for the pool of a virtual one.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let width = usize::from(state.size.width);
    let bar = if state.size.width >= WIDE { format!(" {:<BAR$}", "") } else { String::new() };
    let titles = format!(
        "{:>5} {:<14} {:>5} {:>5} {:>4}{bar} {:>5} {:>5} {:>6} AREA",
        "PRIO", "STORAGE", "SIZE", "USED", "FULL", "ZSWAP", "DISK", "PINNED"
    );
    let line = spread(state, vec![span(state, Tone::Title, titles)], vec![], width);
    let mut lines = vec![filled(line, state.look.paint.of(Tone::Title))];
    let Some(seen) = &state.seen else { return lines };
    let filter = state.filter().to_lowercase();
    let mut areas: Vec<&AreaStatus> =
        seen.status.areas.iter().filter(|area| area.path.to_lowercase().contains(&filter)).collect();
    // In the order in which the kernel fills them.
    areas.sort_by_key(|area| std::cmp::Reverse(area.priority));
    if areas.is_empty() {
        lines.push(Line::from(if filter.is_empty() {
            "  no swap area is on"
        } else {
            "  no swap area fits the filter"
        }));
    }
    for area in areas {
        lines.push(row(state, area, seen.page()));
        lines.extend(area.pool.iter().map(|pool| pool_line(state, pool)));
    }
    lines
}

fn share(part: u64, whole: u64) -> String {
    let parts = (u128::from(part) * 1_000_000).checked_div(u128::from(whole));
    parts.and_then(|parts| u64::try_from(parts).ok()).map_or_else(|| "-".to_owned(), text::percent)
}

fn row(state: &State, area: &AreaStatus, page: u64) -> Line<'static> {
    let pages = |pages: Option<u64>| {
        pages.map_or_else(|| "-".to_owned(), |pages| text::size(pages.saturating_mul(page)))
    };
    let storage = area.storage.map_or_else(|| area.kind.clone(), |storage| storage.to_string());
    let words = format!(
        "{:>5} {} {:>5} {:>5} {:>4}",
        area.priority,
        text::left(&state.look.name(&storage), 14, state.look.signs.cut),
        text::size(area.size_bytes),
        text::size(area.used_bytes),
        share(area.used_bytes, area.size_bytes),
    );
    let mut spans = vec![span(state, Tone::Plain, words)];
    if state.size.width >= WIDE {
        spans.push(span(state, Tone::Plain, " "));
        spans.extend(bar(
            state,
            BAR,
            area.size_bytes,
            &[(area.used_bytes, state.look.signs.half, Tone::Disk)],
        ));
    }
    spans.push(span(state, Tone::Zswap, format!(" {:>5}", pages(area.zswap_pages))));
    spans.push(span(state, Tone::Disk, format!(" {:>5}", pages(area.phys_pages))));
    spans.push(span(state, Tone::Plain, format!(" {:>6}", pages(area.pinned_pages))));
    let name = if area.name.is_empty() { &area.path } else { &area.name };
    spans.push(span(state, Tone::Strong, format!(" {}", state.look.name(name))));
    spread(state, spans, vec![], usize::from(state.size.width))
}

fn pool_line(state: &State, pool: &PoolStatus) -> Line<'static> {
    let is_free = pool.level == swaptier_policies::Level::Free;
    let (sign, tone) = if is_free { ("", Tone::Faint) } else { ("! ", Tone::Care) };
    let each =
        pool.amplification.map_or_else(String::new, |each| format!(", {each:.2} for each original byte"));
    let what = match is_free {
        true => format!("{} until demotion stops", text::size(pool.headroom_bytes)),
        false => pool.level.to_string(),
    };
    let words = format!(
        "      {sign}its disk: {} of {} ({}){each}; {what}",
        text::size(pool.used_bytes),
        text::size(pool.total_bytes),
        share(pool.used_bytes, pool.total_bytes),
    );
    spread(state, vec![span(state, tone, words)], vec![], usize::from(state.size.width))
}
