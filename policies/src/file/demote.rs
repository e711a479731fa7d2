//! `[demote]`: when pages go from zswap to disk, and how much at most.

use super::fault::Faults;
use super::grammar::BUDGET;
use super::walk::{At, DURATION, Noted, PERCENTAGE, RATE, SIZE, Table, Taken, note};
use crate::rules::{Budget, DemoteRule, Use};
use crate::units::{ByteRate, Bytes, Seconds, Share, WHOLE};

/// The oldest age the shadow map can tell: its stamps have 24 bits of seconds, 194 days and a few hours.
const OLDEST: Seconds = Seconds(194 * 86_400);

/// Reads the table. `uses` is `tiers.use`, `Ok(None)` when there is no `[tiers]`.
pub(super) fn read(
    table: &Table<'_>,
    uses: Result<Option<Use>, Noted>,
    damaged: bool,
    faults: &mut Faults<'_>,
) -> Result<DemoteRule, Noted> {
    table.refuse_unknown(faults);
    let has_both = match uses {
        Ok(Some(Use::ZswapThenDisk)) | Err(Noted) => Ok(()),
        Ok(None) if damaged => Ok(()),
        Ok(_) => {
            let help = "in `[tiers]`: use = [\"zswap\", \"disk\"]".to_owned();
            Err(note(faults, &table.span, "`[demote]` needs both tiers, zswap and disk", Some(help)))
        }
    };
    let engine = read_engine(table, faults);
    let older_than = read_age(table, damaged, faults);
    let budget = match table.table(&BUDGET, faults) {
        Ok(Some(budget)) => read_budget(&budget, faults),
        Ok(None) => Ok(Budget { round: Budget::DEFAULT_ROUND, day: None, rate: None }),
        Err(Noted) => Err(Noted),
    };
    let keep_free = read_keep_free(table, faults);
    has_both?;
    engine?;
    Ok(DemoteRule { older_than: older_than?, budget: budget?, keep_free: keep_free? })
}

fn read_engine(table: &Table<'_>, faults: &mut Faults<'_>) -> Result<(), Noted> {
    match table.word("engine", &[("age", true), ("kernel", false)], faults)? {
        Some(At { value: false, span }) => {
            let help = "write \"age\", or leave it out".to_owned();
            Err(note(faults, &span, "`demote.engine = \"kernel\"` is not in force yet", Some(help)))
        }
        _ => Ok(()),
    }
}

fn read_age(table: &Table<'_>, damaged: bool, faults: &mut Faults<'_>) -> Result<Seconds, Noted> {
    if let Some(span) = table.says("older_than", "auto") {
        let help = "write a duration such as \"10m\"".to_owned();
        return Err(note(faults, &span, "`demote.older_than = \"auto\"` is not in force yet", Some(help)));
    }
    let Some(age) = table.quantity::<Seconds>("older_than", DURATION, faults)? else {
        if damaged {
            return Err(Noted);
        }
        let help = "say how long a page stays in zswap first: older_than = \"10m\"".to_owned();
        return Err(note(faults, &table.span, "`demote.older_than` is missing", Some(help)));
    };
    match age.value {
        Seconds(0) => Err(note(
            faults,
            &age.span,
            "`demote.older_than` is zero: every page would go at once",
            Some("the least is \"1s\"; for the disk alone: use = [\"disk\"]".to_owned()),
        )),
        older if older > OLDEST => Err(note(
            faults,
            &age.span,
            format!("`demote.older_than`: {older} is longer than the map can tell"),
            Some(format!("the most is {OLDEST}")),
        )),
        age => Ok(age),
    }
}

fn read_budget(table: &Table<'_>, faults: &mut Faults<'_>) -> Result<Budget, Noted> {
    table.refuse_unknown(faults);
    let round = nonzero(table, "round", table.quantity::<Bytes>("round", SIZE, faults), Bytes(0), faults);
    let day = nonzero(table, "day", table.quantity::<Bytes>("day", SIZE, faults), Bytes(0), faults);
    let rate = nonzero(table, "rate", table.quantity::<ByteRate>("rate", RATE, faults), ByteRate(0), faults);
    let (round, day, rate) = (round?, day?, rate?);
    // A default never contradicts what is written: a small day makes the rounds small.
    let default = day.as_ref().map_or(Budget::DEFAULT_ROUND, |day| day.value.min(Budget::DEFAULT_ROUND));
    if let (Some(round), Some(day)) = (&round, &day)
        && round.value > day.value
    {
        let message = format!(
            "`demote.budget.round` ({}) is more than `demote.budget.day` ({})",
            round.value, day.value
        );
        return Err(note(faults, &round.span, message, Some("a day is made of rounds".to_owned())));
    }
    Ok(Budget {
        round: round.map_or(default, |round| round.value),
        day: day.map(|day| day.value),
        rate: rate.map(|rate| rate.value),
    })
}

/// Refuses a budget that would never let a page go.
fn nonzero<T: PartialEq>(
    table: &Table<'_>,
    key: &str,
    taken: Taken<At<T>>,
    zero: T,
    faults: &mut Faults<'_>,
) -> Taken<At<T>> {
    match taken? {
        Some(At { value, span }) if value == zero => {
            let message = format!("`{}` is zero: nothing would ever go", table.full_name(key));
            let help = "to demote nothing, remove `[demote]`".to_owned();
            Err(note(faults, &span, message, Some(help)))
        }
        other => Ok(other),
    }
}

fn read_keep_free(table: &Table<'_>, faults: &mut Faults<'_>) -> Result<Share, Noted> {
    match table.quantity::<Share>("keep_free", PERCENTAGE, faults)? {
        Some(At { value: Share(WHOLE), span }) => Err(note(
            faults,
            &span,
            "`demote.keep_free` leaves zswap no room",
            Some("write less than 100%".to_owned()),
        )),
        Some(share) => Ok(share.value),
        None => Ok(Share(0)),
    }
}
