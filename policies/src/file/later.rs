//! `[offload]` and `[guard]`: read and checked as they will be, and refused because nothing acts on them yet.
//!
//! A file that asks for something must never look as if it got it.

use std::str::FromStr;

use super::fault::Faults;
use super::walk::{DURATION, PERCENTAGE, SHARE_RATE, SIZE, Table, Taken, Wanted, note};
use crate::units::{Bytes, Seconds, Share, ShareRate, UnitError};

/// Checks `[offload]`.
pub(super) fn read_offload(table: Taken<Table<'_>>, faults: &mut Faults<'_>) {
    let Ok(Some(table)) = table else { return };
    refuse(&table, "offload", faults);
    // Faults are noted; there is nothing to keep.
    let _ = table.flag("enabled", faults);
    positive::<Share>(&table, "step", PERCENTAGE, Share(0), faults);
    let _ = table.quantity::<Bytes>("floor", SIZE, faults);
}

/// Checks `[guard]`.
pub(super) fn read_guard(table: Taken<Table<'_>>, faults: &mut Faults<'_>) {
    let Ok(Some(table)) = table else { return };
    refuse(&table, "guard", faults);
    positive::<Share>(&table, "psi_memory_some", PERCENTAGE, Share(0), faults);
    positive::<Share>(&table, "psi_io_some", PERCENTAGE, Share(0), faults);
    positive::<ShareRate>(&table, "swapin_from_disk", SHARE_RATE, ShareRate(0), faults);
    positive::<Seconds>(&table, "backoff", DURATION, Seconds(0), faults);
}

fn refuse(table: &Table<'_>, name: &str, faults: &mut Faults<'_>) {
    table.refuse_unknown(faults);
    let help = "remove the table: nothing would act on it".to_owned();
    note(faults, &table.span, format!("`[{name}]` is not in force yet"), Some(help));
}

fn positive<T>(table: &Table<'_>, key: &str, wanted: Wanted, zero: T, faults: &mut Faults<'_>)
where
    T: FromStr<Err = UnitError> + PartialEq,
{
    if let Ok(Some(taken)) = table.quantity::<T>(key, wanted, faults)
        && taken.value == zero
    {
        note(faults, &taken.span, format!("`{}` is zero", table.full_name(key)), None);
    }
}
