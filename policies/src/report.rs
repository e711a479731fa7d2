//! What a round of write-back came to: how it ended, by which everybody decides, and figures for people.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// What was asked for is written.
    Target,
    /// Nothing more comes: there were fewer pages that could be written.
    Exhausted,
    /// The time was over.
    Deadline,
    /// The pool came near its own limit.
    NearLimit,
    /// A swap disk could not be written: what was taken out of zswap is in RAM, or some of it.
    DiskFailed,
    /// zswap's worker did not end in time: the cgroup's valve stays closed until the agent gives it back.
    Unsettled,
    /// It was called off: whoever asked for it does not want it any more, or the agent stops.
    CalledOff,
    /// More pages of others were written than a round may: the way to disk was closed to all until that ended.
    Strayed,
    /// The cgroup was removed during the round.
    Gone,
    /// So many cgroups came meanwhile, or so unluckily, that they could not be kept out.
    Crowded,
    /// Somebody else wrote a value that the round had changed: it stays as they wrote it.
    Foreign,
    /// The pump or the agent stood still in the round: stopped, or frozen. What they held was put back meanwhile.
    Stopped,
    /// The kernel refused a write.
    Refused,
}

impl Ended {
    /// All of them.
    pub const ALL: [Ended; 13] = [
        Ended::Target,
        Ended::Exhausted,
        Ended::Deadline,
        Ended::NearLimit,
        Ended::DiskFailed,
        Ended::Unsettled,
        Ended::CalledOff,
        Ended::Strayed,
        Ended::Gone,
        Ended::Crowded,
        Ended::Foreign,
        Ended::Stopped,
        Ended::Refused,
    ];

    /// What went wrong, if anything did: the one place that says so.
    #[must_use]
    pub fn failure(self) -> Option<&'static str> {
        match self {
            Ended::Target | Ended::Exhausted | Ended::Deadline | Ended::NearLimit => None,
            Ended::DiskFailed => Some("a swap disk could not be written"),
            Ended::Unsettled => {
                Some("zswap's worker did not end in time, so the way to disk stays closed for now")
            }
            Ended::CalledOff => Some("it was called off"),
            Ended::Strayed => Some("more pages of others were written than a round may cost them"),
            Ended::Gone => Some("the cgroup was removed during the round"),
            Ended::Crowded => Some("cgroups that came meanwhile could not be kept out"),
            Ended::Foreign => Some("somebody else wrote a value that the round had changed, which stays"),
            Ended::Stopped => Some("the agent or its pump stood still during the round"),
            Ended::Refused => Some("the kernel refused it"),
        }
    }
}

/// As it stands in reports.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::Target => "target",
            Ended::Exhausted => "exhausted",
            Ended::Deadline => "deadline",
            Ended::NearLimit => "near_limit",
            Ended::DiskFailed => "disk_failed",
            Ended::Unsettled => "unsettled",
            Ended::CalledOff => "called_off",
            Ended::Strayed => "strayed",
            Ended::Gone => "gone",
            Ended::Crowded => "crowded",
            Ended::Foreign => "foreign",
            Ended::Stopped => "stopped",
            Ended::Refused => "refused",
        })
    }
}

/// What the engine says of a finished round. In JSON it is one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct RoundReport {
    /// Why it ended. `None`: nothing that is known here; another version says so.
    pub ended: Option<Ended>,
    /// The kernel's answer where it refused.
    pub error: Option<String>,
    /// All else, by name: for people. Nothing is decided by it.
    pub figures: Map<String, Value>,
}

/// Where they stand in the object.
const ENDED: &str = "ended";
const ERROR: &str = "error";

impl RoundReport {
    /// Why the round failed; `None`: it did not.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let Some(ended) = self.ended else {
            return Some("its report does not say why it ended".to_owned());
        };
        ended.failure().map(|why| match &self.error {
            Some(said) => format!("{why}: {said}"),
            None => why.to_owned(),
        })
    }

    /// Whether what ended this round is likely to end the next one: it failed, and was not only called off.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.ended.is_none_or(|ended| ended != Ended::CalledOff && ended.failure().is_some())
    }

    /// A number among the figures.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.figures.get(name)?.as_u64()
    }

    /// A word among the figures.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&str> {
        self.figures.get(name)?.as_str()
    }
}

impl From<Ended> for RoundReport {
    fn from(ended: Ended) -> RoundReport {
        RoundReport { ended: Some(ended), ..RoundReport::default() }
    }
}

/// What is no report says nothing; what of it is not known here stays among the figures.
impl From<Value> for RoundReport {
    fn from(value: Value) -> RoundReport {
        let Value::Object(mut figures) = value else { return RoundReport::default() };
        let ended = figures.get(ENDED).and_then(|ended| Ended::deserialize(ended).ok());
        let error = figures.get(ERROR).and_then(Value::as_str).map(str::to_owned);
        figures.retain(|name, _| match name.as_str() {
            ENDED => ended.is_none(),
            ERROR => error.is_none(),
            _ => true,
        });
        RoundReport { ended, error, figures }
    }
}

impl From<RoundReport> for Value {
    fn from(report: RoundReport) -> Value {
        let RoundReport { ended, error, mut figures } = report;
        figures.extend(ended.map(|ended| (ENDED.to_owned(), Value::from(ended.to_string()))));
        figures.extend(error.map(|error| (ERROR.to_owned(), Value::from(error))));
        Value::Object(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value) -> RoundReport {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_end_is_a_failure_or_none_and_says_the_same_to_all_who_read_the_report() {
        let failed: Vec<Ended> = Ended::ALL.into_iter().filter(|ended| ended.failure().is_some()).collect();
        // The first four are as they should be.
        assert_eq!(failed, Ended::ALL[4..]);
        for one in Ended::ALL {
            let report = read(serde_json::json!({ "ended": one.to_string(), "written_pages": 5 }));
            assert_eq!((report.ended, report.number("written_pages")), (Some(one), Some(5)));
            assert_eq!(report.failure().as_deref(), one.failure());
            assert_eq!(report.is_in_vain(), one.failure().is_some() && one != Ended::CalledOff);
        }
        let with_words = read(serde_json::json!({ "ended": "refused", "error": "Device or resource busy" }));
        assert_eq!(with_words.failure().as_deref(), Some("the kernel refused it: Device or resource busy"));
    }

    #[test]
    fn an_end_of_another_version_is_unknown_and_no_success() {
        for json in [
            serde_json::json!({}),
            serde_json::json!({ "ended": "tired" }),
            serde_json::json!({ "ended": 3 }),
        ] {
            let report = read(json.clone());
            assert!(report.ended.is_none() && report.is_in_vain() && report.failure().is_some(), "{json}");
            assert_eq!(serde_json::to_value(&report).unwrap(), json, "another version may know it");
        }
        assert_eq!(read(Value::Null), RoundReport::default());
    }

    #[test]
    fn a_report_is_one_object_and_is_read_as_it_was_written() {
        let json = serde_json::json!({
            "ended": "refused", "error": "busy", "cgroup": "a", "seconds": 0.25, "foreign": ["x"],
        });
        let report = read(json.clone());
        assert_eq!(serde_json::to_value(&report).unwrap(), json);
        assert_eq!((report.word("cgroup"), report.number("cgroup")), (Some("a"), None));
        assert_eq!((report.error.as_deref(), report.figures.len()), (Some("busy"), 3));
    }
}
