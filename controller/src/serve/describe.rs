//! What each field of the status and the detail is: the figures, and one table of what is no number of the status, from which
//! `describe` answers. A test holds them against the types themselves.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use swaptier_policies::{Knob, Setting};

use super::figures::{self, Figure};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Where it is in the JSON of the status, `[]` for each element of a list: `cgroups[].zswap_pages`. Fields that only
    /// a detail has begin with `detail.`.
    pub name: Cow<'static, str>,
    /// `pages`, `bytes` (which bytes is in the help), `seconds`, `milliseconds`, `percent`, `pages/s`, or empty.
    pub unit: Cow<'static, str>,
    /// `gauge`, `counter`, `histogram`, `text`, `flag` or `id`.
    pub kind: Cow<'static, str>,
    /// What it means, in a sentence.
    pub help: Cow<'static, str>,
}

/// All fields, by name.
#[must_use]
pub fn fields() -> Vec<Field> {
    let field = |(name, unit, kind, help): &Row| Field {
        name: (*name).into(),
        unit: (*unit).into(),
        kind: (*kind).into(),
        help: (*help).into(),
    };
    let mut fields: Vec<Field> = FIELDS.iter().map(field).chain(Knob::ALL.map(knob)).collect();
    fields.extend(figures::agent::ROWS.iter().chain(figures::host::ROWS).map(|row| figure("", row)));
    fields.extend(figures::area::ROWS.iter().map(|row| figure("areas[].", row)));
    fields.extend(figures::cgroup::ROWS.iter().map(|row| figure("cgroups[].", row)));
    fields.sort_by(|one, other| one.name.cmp(&other.name));
    fields
}

/// The row of a number.
fn figure<T>(at: &str, figure: &Figure<T>) -> Field {
    Field {
        name: format!("{at}{}", figure.key).into(),
        unit: figure.unit.to_string().into(),
        kind: figure.kind.to_string().into(),
        help: figure.help.into(),
    }
}

/// The row of a file that policies set.
fn knob(knob: Knob) -> Field {
    let kind = match knob.fresh() {
        Setting::Limit(_) => "text",
        Setting::Valve(_) => "flag",
    };
    Field {
        name: format!("cgroups[].{}", knob.name()).into(),
        unit: "".into(),
        kind: kind.into(),
        help: format!("{}: {}.", knob.file(), knob.says()).into(),
    }
}

type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const FIELDS: &[Row] = &[
    ("schema", "", "id", "Version of this shape."),
    ("last_event", "", "id", "Number of the newest event."),
    ("agent.running", "", "flag", "Whether an agent is running."),
    ("agent.pid", "", "id", "Its process."),
    ("agent.absent", "", "text", "Why nothing is heard of it: none is running, it does not answer, or it may not be asked."),
    ("agent.doing", "", "text", "The round of write-back that runs now, beside the ticks."),
    ("agent.blind", "", "text", "Why the last tick was one: what is shown is older."),
    ("agent.dialect", "", "text", "How it would be written back now."),
    ("agent.no_dialect", "", "text", "Why it cannot be written back."),
    ("agent.lost", "", "text", "What this host lacks and what that costs."),
    ("agent.dry_run", "", "flag", "It decides and changes nothing."),
    ("agent.cost.is_locked", "", "flag", "Its memory cannot be swapped out."),
    ("host.zswap_enabled", "", "flag", "Whether zswap takes pages."),
    ("host.swap_ins.is_timed", "", "flag", "Swap-ins are timed now."),
    ("host.swap_ins.zswap.swap_ins", "", "histogram", "These, by microseconds: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("host.swap_ins.disk.swap_ins", "", "histogram", "These, by microseconds."),
    ("areas[].path", "", "text", "The device or file."),
    ("areas[].kind", "", "text", "partition or file."),
    ("areas[].name", "", "text", "What it was named; the path of one that swaptier did not make."),
    ("areas[].storage", "", "text", "ghost_native, ghost_dm, ghost_zram, virtual, zram, plain or unseen."),
    ("areas[].pool.level", "", "text", "free, no_demotion, closed or stopped."),
    ("map.state", "", "text", "exact, behind or absent."),
    ("map.reason", "", "text", "Why it is absent."),
    ("cgroups[].path", "", "text", "Path below the cgroup root; the root is the empty text."),
    ("cgroups[].id", "", "id", "kernfs id: what it is known by."),
    ("cgroups[].parent", "", "id", "kernfs id of the cgroup above."),
    ("cgroups[].policy", "", "text", "File name of its policy."),
    ("cgroups[].populated", "", "flag", "A process lives in it or below."),
    ("cgroups[].closed_by_hand", "", "flag", "Its way to disk was closed by `swaptier close`; left out where it was not."),
    ("cgroups[].last.action", "", "text", "What."),
    ("cgroups[].last.by", "", "text", "The policy's file name, or the command."),
    ("cgroups[].last.reason", "", "text", "Why, with the numbers."),
    ("cgroups[].last.outcome", "", "text", "What came of it."),
    ("cgroups[].last.is_trouble", "", "flag", "It was not done as asked."),
    ("rounds", "", "text", "Reports of rounds of write-back, oldest first: docs/writeback.md."),
    ("held[].cgroup", "", "text", "Path of a cgroup to which something was not done at the last decision."),
    ("held[].policy", "", "text", "File name of its policy."),
    ("held[].reason", "", "text", "Why not."),
    ("knobs[].path", "", "text", "A kernel file that holds a value of swaptier's."),
    ("knobs[].cgroup", "", "id", "kernfs id of its cgroup."),
    ("knobs[].before", "", "text", "What it said before, and will say again."),
    ("knobs[].ours", "", "text", "What was written."),
    ("knobs[].by", "", "text", "Who asked for it."),
    ("detail.ages.zswap_pages", "pages", "histogram", "In zswap now, by seconds there: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("detail.ages.loaded_pages", "pages", "histogram", "Read out of zswap, by seconds there."),
    ("detail.ages.written_back_pages", "pages", "histogram", "Written back, by seconds in zswap."),
    ("detail.swap_ins.is_timed", "", "flag", "Swap-ins are timed now."),
    ("detail.swap_ins.zswap.sum_seconds", "seconds", "counter", "How long swap-ins from zswap took together, while they were timed."),
    ("detail.swap_ins.zswap.swap_ins", "", "histogram", "These, by microseconds: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("detail.swap_ins.disk.sum_seconds", "seconds", "counter", "How long swap-ins from a device took together, while they were timed."),
    ("detail.swap_ins.disk.swap_ins", "", "histogram", "These, by microseconds."),
    ("detail.actions", "", "text", "The last things done to it, oldest first; each as cgroups[].last."),
    ("detail.contenders[].policy", "", "text", "A policy that names it, the winner first."),
    ("detail.contenders[].standing", "", "text", "Why that policy wins, loses or does not apply."),
    ("detail.fate.says", "", "text", "What the swap areas make of its policy."),
    ("detail.fate.can_work", "", "flag", "Whether the policy gets what it asks for."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use swaptier_policies::Settings;

    use serde_json::Value;

    use super::*;
    use crate::serve::{
        detail::{Ages, Contender, Detail, FateStatus},
        status::*,
    };

    /// Every place of a value in which something stands, lists by their first element.
    fn places(at: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let dot = if at.is_empty() { "" } else { "." };
                    places(&format!("{at}{dot}{name}"), value, found);
                }
            }
            Value::Array(list) if list.first().is_some_and(Value::is_object) => {
                places(&format!("{at}[]"), &list[0], found);
            }
            _ => {
                found.insert(at.to_owned());
            }
        }
    }

    /// A status in which nothing is left out. Written out, so that a new field does not compile until it is here.
    fn full() -> Status {
        let pressure = || {
            let known = Some(1.0);
            let (full_avg10, full_avg60, full_seconds) = (known, known, known);
            PressureStatus { full_avg10, full_avg60, full_seconds, ..PressureStatus::default() }
        };
        let known = Some(1.0);
        let (stored, loaded, written_back, read) = (known, known, known, known);
        let rates = Rates { stored, loaded, written_back, direct: known, read };
        let text = || Some("x".to_owned());
        Status {
            schema: 1,
            unix_seconds: 1.0,
            agent: AgentStatus {
                pid: Some(1),
                dialect: text(),
                absent: text(),
                doing: text(),
                blind: text(),
                no_dialect: text(),
                ..agent()
            },
            host: HostStatus {
                ram_bytes: 1,
                zswap_compressed_bytes: Some(1),
                zswap_original_bytes: Some(1),
                pool_limit_bytes: Some(1),
                swap_total_bytes: 1,
                swap_free_bytes: 1,
                page_bytes: 1,
                available_bytes: Some(1),
                slot_cost_bytes: Some(1.0),
                zswap_enabled: Some(true),
                accept_threshold_percent: Some(1),
                disk_original_bytes: Some(1),
                memory_pressure: Some(pressure()),
                io_pressure: Some(pressure()),
                rates: HostRates { stored, loaded, written_back, written: known, read },
                swap_ins: Some(SwapIns::default()),
                refused_stores: Some(RefusedStores {
                    pool_limit: Some(1),
                    no_memory: Some(1),
                    incompressible: Some(1),
                    compressor_failed: Some(1),
                    reclaim_failed: Some(1),
                }),
            },
            areas: vec![AreaStatus {
                storage: Some(swaptier_policies::AreaKind::Virtual),
                zswap_pages: Some(1),
                phys_pages: Some(1),
                pinned_pages: Some(1),
                pool: Some(PoolStatus { amplification: known, ..PoolStatus::default() }),
                ..AreaStatus::default()
            }],
            map: MapStatus { reason: text(), age_seconds: Some(1), ..MapStatus::default() },
            cgroups: vec![CgroupStatus {
                path: String::new(),
                id: 1,
                policy: text(),
                zswap_pages: Some(1),
                zswap_compressed_bytes: Some(1),
                phys_pages: Some(1),
                zero_pages: Some(1),
                folio_pages: Some(1),
                unknown_pages: Some(1),
                drift_pages: Some(1),
                cold_pages: Some(1),
                older_than_seconds: Some(1),
                oldest_seconds: Some(1),
                stored_pages: Some(1),
                loaded_pages: Some(1),
                written_back_pages: Some(1),
                direct_pages: Some(1),
                read_pages: Some(1),
                regret_pages: Some(1),
                memory_current_bytes: Some(1),
                settings: Settings::fresh(),
                closed_by_hand: true,
                parent: Some(1),
                populated: Some(true),
                swap_current_bytes: Some(1),
                cold_compressed_bytes: Some(1),
                rates: Some(rates),
                memory_pressure: Some(pressure()),
                last: Some(ActionStatus::default()),
            }],
            rounds: Vec::new(),
            held: vec![HeldStatus { cgroup: String::new(), policy: String::new(), reason: String::new() }],
            knobs: vec![KnobStatus { cgroup: Some(1), ..KnobStatus::default() }],
            last_event: 1,
            totals: TotalsStatus::default(),
        }
    }

    fn agent() -> AgentStatus {
        AgentStatus {
            cost: CostStatus { resident_bytes: Some(1), ..CostStatus::default() },
            ..AgentStatus::default()
        }
    }

    #[test]
    fn every_field_is_described_and_nothing_else_is() {
        let mut there = BTreeSet::new();
        places("", &serde_json::to_value(full()).unwrap(), &mut there);
        let detail = Detail {
            ages: Some(Ages::default()),
            swap_ins: Some(SwapIns::default()),
            contenders: vec![Contender::default()],
            fate: Some(FateStatus::default()),
            ..Detail::default()
        };
        let detail = serde_json::to_value(detail).unwrap();
        // Its other fields are those of the status under the same names.
        for only in ["ages", "swap_ins", "actions", "contenders", "fate"] {
            places(&format!("detail.{only}"), &detail[only], &mut there);
        }
        let fields = fields();
        let described: BTreeSet<String> = fields.iter().map(|field| field.name.to_string()).collect();
        assert_eq!(described, there);
        assert_eq!(described.len(), fields.len(), "a field is described twice");
    }

    /// Each number that stands there becomes another.
    fn number(value: &mut Value, last: &mut u64) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|value| number(value, last)),
            Value::Array(list) => list.iter_mut().for_each(|value| number(value, last)),
            Value::Number(_) => {
                *last += 1;
                *value = (*last).into();
            }
            _ => {}
        }
    }

    #[test]
    fn a_figure_is_read_where_its_key_says_and_every_number_is_one() {
        let mut json = serde_json::to_value(full()).unwrap();
        number(&mut json, &mut 0);
        let status: Status = serde_json::from_value(json.clone()).unwrap();
        fn check<T>(rows: &[Figure<T>], of: &T, json: &Value) {
            for row in rows {
                let there = json.pointer(&format!("/{}", row.key.replace('.', "/"))).and_then(Value::as_f64);
                assert_eq!(((row.value)(of), there.is_some()), (there, true), "{}", row.key);
            }
        }
        check(figures::agent::ROWS, &status, &json);
        check(figures::host::ROWS, &status, &json);
        check(figures::area::ROWS, &status.areas[0], &json["areas"][0]);
        check(figures::cgroup::ROWS, &status.cgroups[0], &json["cgroups"][0]);
        let is_number = |kind: &str| kind == "gauge" || kind == "counter";
        let loose = FIELDS.iter().find(|(name, _, kind, _)| is_number(kind) && !name.starts_with("detail."));
        assert_eq!(loose, None, "a row of `figures` says more");
    }

    #[test]
    fn every_description_says_what_it_counts() {
        let units = ["", "pages", "bytes", "seconds", "milliseconds", "percent", "pages/s"];
        let kinds = ["gauge", "counter", "histogram", "text", "flag", "id"];
        for Field { name, unit, kind, help } in fields() {
            assert!(units.contains(&&*unit) && kinds.contains(&&*kind) && help.ends_with('.'), "{name}");
            let says = |word: &str| name.ends_with(word);
            assert!(!says("_bytes") || unit == "bytes", "{name}");
            assert!(!says("_pages") || unit == "pages", "{name}");
            assert!(!says("_seconds") || unit == "seconds", "{name}");
        }
    }
}
