//! `[tiers]`: where the pages of a cgroup may live, and how much of each.

use std::str::FromStr;

use super::fault::Faults;
use super::walk::{AMOUNT, At, Noted, Table, Taken, help_for_word, note};
use crate::knob::Knob;
use crate::rules::{Amount, Amounts, Overflow, TierRule, Use};
use crate::units::{Bytes, Share, UnitError};

const TIERS: [&str; 2] = ["zswap", "disk"];

/// The limits that a policy gives, each by the key of its file's name.
const LIMITS: [Knob; 3] = [Knob::SwapMax, Knob::SwapHigh, Knob::ZswapMax];

/// Reads the table. The first result is `use` alone, which others ask for even if the rest is refused.
pub(super) fn read(
    table: &Table<'_>,
    damaged: bool,
    faults: &mut Faults<'_>,
) -> (Result<Use, Noted>, Result<TierRule, Noted>) {
    table.refuse_unknown(faults);
    let uses = read_use(table, damaged, faults);
    (uses, read_rule(table, uses, faults))
}

fn read_rule(
    table: &Table<'_>,
    uses: Result<Use, Noted>,
    faults: &mut Faults<'_>,
) -> Result<TierRule, Noted> {
    let known = uses.ok();
    let mut limits = Ok(Amounts::default());
    for knob in LIMITS {
        let amount = read_limit(table, knob, known.map(|uses| uses.concerns(knob)), faults);
        limits = limits.and_then(|mut limits| {
            limits.set(knob, amount?);
            Ok(limits)
        });
    }
    let overflow = read_overflow(table, known, faults);
    Ok(TierRule { uses: uses?, limits: limits?, overflow: overflow? })
}

fn read_use(table: &Table<'_>, damaged: bool, faults: &mut Faults<'_>) -> Result<Use, Noted> {
    let Some(names) = table.texts("use", "[\"zswap\", \"disk\"]", faults)? else {
        if damaged {
            return Err(Noted);
        }
        let help = "[] is no swap; known tiers: `zswap`, `disk`, in this order".to_owned();
        return Err(note(faults, &table.span, "`tiers.use` is missing", Some(help)));
    };
    let mut places = Vec::new();
    for name in &names.value {
        match TIERS.iter().position(|tier| *tier == name.value) {
            Some(place) => places.push((place, name)),
            None => {
                let help = match name.value {
                    "ram" => "RAM is always used: leave it out".to_owned(),
                    other => help_for_word(other, TIERS.into_iter()),
                };
                note(faults, &name.span, format!("`tiers.use`: unknown tier `{}`", name.value), Some(help));
            }
        }
    }
    refuse_repeated_and_reversed(&places, faults);
    if places.len() < names.value.len() {
        return Err(Noted);
    }
    let has = |place| places.iter().any(|(p, _)| *p == place);
    Ok(match (has(0), has(1)) {
        (false, false) => Use::Nothing,
        (true, false) => Use::Zswap,
        (false, true) => Use::Disk,
        (true, true) => Use::ZswapThenDisk,
    })
}

fn refuse_repeated_and_reversed(places: &[(usize, &At<&str>)], faults: &mut Faults<'_>) {
    for (index, (place, name)) in places.iter().enumerate() {
        let before = &places[..index];
        if before.iter().any(|(p, _)| p == place) {
            note(faults, &name.span, format!("`tiers.use`: tier `{}` twice", name.value), None);
        } else if let Some((slower, _)) = before.iter().find(|(p, _)| p > place) {
            let message =
                format!("`tiers.use`: `{}` stands behind the slower `{}`", name.value, TIERS[*slower]);
            let help = "the fastest first: [\"zswap\", \"disk\"]".to_owned();
            note(faults, &name.span, message, Some(help));
        }
    }
}

impl FromStr for Amount {
    type Err = UnitError;

    /// The word `max`, a percentage, or a size.
    fn from_str(text: &str) -> Result<Amount, UnitError> {
        match text.trim() {
            "max" => Ok(Amount::Max),
            share if share.ends_with('%') => text.parse::<Share>().map(Amount::Share),
            _ => text.parse::<Bytes>().map(Amount::Bytes),
        }
    }
}

/// Reads the limit of a file. `in_use` is unknown when `use` itself was refused.
fn read_limit(table: &Table<'_>, knob: Knob, in_use: Option<bool>, faults: &mut Faults<'_>) -> Taken<Amount> {
    let key = knob.name();
    let Some(amount) = table.quantity::<Amount>(key, AMOUNT, faults)? else { return Ok(None) };
    if in_use == Some(false) {
        let help = "leave it out, or add the tier to `use`".to_owned();
        let message = format!("`tiers.{key}` has no effect: `use` leaves its tier out");
        return Err(note(faults, &amount.span, message, Some(help)));
    }
    if matches!(amount.value, Amount::Bytes(Bytes(0)) | Amount::Share(Share(0))) {
        let help =
            if knob == Knob::ZswapMax { "for no zswap: use = [\"disk\"]" } else { "for no swap: use = []" };
        return Err(note(faults, &amount.span, format!("`tiers.{key}` is zero"), Some(help.to_owned())));
    }
    Ok(Some(amount.value))
}

fn read_overflow(table: &Table<'_>, uses: Option<Use>, faults: &mut Faults<'_>) -> Taken<Overflow> {
    let known = [("disk", Overflow::Disk), ("keep", Overflow::Keep)];
    let word: Taken<At<Overflow>> = table.word("overflow", &known, faults);
    match (word?, uses) {
        (None, _) => Ok(None),
        (Some(word), Some(Use::Nothing | Use::Zswap | Use::Disk)) => {
            let help = "leave it out, or: use = [\"zswap\", \"disk\"]".to_owned();
            let message = "`tiers.overflow` has no effect without both tiers";
            Err(note(faults, &word.span, message, Some(help)))
        }
        (Some(word), _) => Ok(Some(word.value)),
    }
}
