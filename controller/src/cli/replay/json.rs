//! A replay as JSON: a versioned interface.

use serde_json::{Value, json};

use super::Replayed;

pub(super) fn value(replayed: &Replayed) -> Value {
    let report = &replayed.report;
    let differences = report.differences.iter().map(|one| {
        json!({
            "frame": one.frame,
            "unix_ms": one.unix_ms,
            "recorded": one.recorded,
            "now": one.now,
        })
    });
    let losses = replayed.losses.iter().map(|loss| {
        json!({
            "file": loss.path.display().to_string(),
            "byte": loss.offset,
            "bytes": loss.bytes,
            "before_frame": loss.before,
            "frames": loss.frames,
            "why": loss.fault.to_string(),
        })
    });
    let mut value = json!({
        "schema": 1,
        "from_unix_ms": replayed.from,
        "to_unix_ms": replayed.to,
        "recorded_by": { "swaptier": replayed.swaptier, "as": replayed.by, "kernel": replayed.kernel },
        "swaptier": env!("CARGO_PKG_VERSION"),
        "frames": report.frames,
        "decisions": report.decisions,
        "same": report.same,
        "different": report.different,
        "unproven": report.unproven,
        "histories_different": report.histories,
        "differences": differences.collect::<Vec<_>>(),
        "refused": report.refused,
        "losses": losses.collect::<Vec<_>>(),
        "unreadable": replayed.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if let Some(other) = &report.other {
        value["other"] = json!({
            "decisions": other.decisions,
            "same_steps": other.same_steps,
            "world_reacts": false,
            "cgroups": other.cgroups.values().collect::<Vec<_>>(),
        });
    }
    value
}
