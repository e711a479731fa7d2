//! Pages by age: in zswap now, read out of it, written back. The policy's threshold is a line across: whatever stands below
//! it is cold.

use ratatui::text::Line;

use super::{
    super::span,
    bars::{Bar, head, most, row},
};
use crate::{
    serve::{detail::Ages, histogram::bucket_start},
    text,
    top::{paint::Tone, state::State},
};

/// A row for each bucket, three bars.
pub(super) fn lines(
    state: &State,
    ages: &Ages,
    older_than: Option<u64>,
    page: u64,
    width: usize,
) -> Vec<Line<'static>> {
    let series = [&ages.zswap_pages, &ages.loaded_pages, &ages.written_back_pages];
    let at = |series: &[u64], bucket: usize| series.get(bucket).copied().unwrap_or(0);
    let threshold = older_than.map(|age| (0..).find(|bucket| bucket_start(*bucket) >= age).unwrap_or(0));
    let filled = (0..64).filter(|bucket| series.iter().any(|series| at(series, *bucket) > 0));
    let used: Vec<usize> = filled.chain(threshold.filter(|bucket| *bucket < 32)).collect();
    let (Some(first), Some(last)) = (used.iter().min(), used.iter().max()) else {
        return vec![Line::from("nothing of it was in zswap yet")];
    };
    let most = series.map(|series| most(series));
    let mut lines = vec![head(state, "AGE", &["in zswap now", "came back", "written back"], width)];
    for bucket in *first..=*last {
        if threshold == Some(bucket) {
            lines.push(mark(state, older_than.unwrap_or(0), width));
        }
        let is_cold = threshold.is_some_and(|threshold| bucket >= threshold);
        let bar = |nth: usize| {
            let value = at(series[nth], bucket);
            Bar {
                value,
                most: most[nth],
                size: text::size(value.saturating_mul(page)),
                sign: if is_cold || nth > 0 { state.look.signs.full } else { state.look.signs.half },
                tone: if nth == 2 { Tone::Disk } else { Tone::Zswap },
            }
        };
        lines.push(row(state, &label(bucket), &[bar(0), bar(1), bar(2)], width));
    }
    lines
}

fn label(bucket: usize) -> String {
    if bucket == 0 { "< 1s".to_owned() } else { text::age(bucket_start(bucket)) }
}

fn mark(state: &State, age: u64, width: usize) -> Line<'static> {
    let signs = &state.look.signs;
    let words = format!(" {} the policy's age, {} ", signs.arrows[1], text::age(age));
    let rest = width.saturating_sub(text::width(&words) + 4);
    Line::from(span(
        state,
        Tone::Care,
        format!("{}{words}{}", signs.across.repeat(4), signs.across.repeat(rest)),
    ))
}
