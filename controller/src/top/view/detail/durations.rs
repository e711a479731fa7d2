//! How long swap-ins took, by the tier the page was in.

use ratatui::text::Line;

use super::{
    super::span,
    bars::{Bar, head, most, row},
};
use crate::{
    serve::{
        histogram::bucket_start,
        status::{Durations, SwapIns},
    },
    text,
    top::{paint::Tone, state::State},
};

/// What most swap-ins stayed below; then a row for each bucket, two bars.
pub(super) fn lines(state: &State, swap_ins: &SwapIns, width: usize) -> Vec<Line<'static>> {
    let SwapIns { is_timed, zswap, disk } = swap_ins;
    let series = [&zswap.swap_ins, &disk.swap_ins];
    let at = |nth: usize, bucket: usize| series[nth].get(bucket).copied().unwrap_or(0);
    let longest = series.iter().map(|series| series.len()).max().unwrap_or(0);
    let Some(first) = (0..longest).find(|bucket| at(0, *bucket) + at(1, *bucket) > 0) else {
        let words = if *is_timed { "no swap-in yet since they are timed" } else { "no swap-in was timed" };
        return vec![Line::from(span(state, Tone::Faint, words.to_owned()))];
    };
    let when = if *is_timed { "timed now" } else { "not timed now" };
    let mut lines = vec![Line::from(span(state, Tone::Strong, format!("HOW LONG SWAP-INS TOOK, {when}")))];
    for (tier, durations) in [("zswap", zswap), ("disk", disk)] {
        if durations.count() > 0 {
            lines.push(Line::from(span(state, Tone::Plain, summary(tier, durations))));
        }
    }
    lines.push(head(state, "SWAP-IN", &["from zswap", "from disk"], width));
    let most = series.map(|series| most(series));
    for bucket in first..longest {
        let bar = |nth: usize| Bar {
            value: at(nth, bucket),
            most: most[nth],
            size: text::count(at(nth, bucket)),
            sign: state.look.signs.full,
            tone: if nth == 1 { Tone::Disk } else { Tone::Zswap },
        };
        lines.push(row(state, &self::label(bucket), &[bar(0), bar(1)], width));
    }
    lines
}

fn summary(tier: &str, durations: &Durations) -> String {
    let count = durations.count();
    let below = |percent| durations.below(percent).map_or("no limit".to_owned(), text::micros);
    let mean = text::micros((durations.sum_seconds * 1e6 / count as f64) as u64);
    format!("{tier}: {count}, mean {mean}, half below {}, 99% below {}", below(50), below(99))
}

fn label(bucket: usize) -> String {
    if bucket == 0 { "< 1us".to_owned() } else { text::micros(bucket_start(bucket)) }
}
