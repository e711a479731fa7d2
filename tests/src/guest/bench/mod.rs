//! Measurements in the guest: a table of names, one file each. They print figures; a bound that is broken is an error
//! at the end, after all figures.

pub(in crate::guest) mod areas;
mod cost;
pub(in crate::guest) mod exact;
pub(in crate::guest) mod faces;
pub(in crate::guest) mod kill;
mod selftests;
pub(in crate::guest) mod ugly;
mod value;
pub(in crate::guest) mod writeback;

use anyhow::{Result, bail};

use super::preamble;

/// How a measurement prints.
#[derive(Debug, Clone)]
pub struct Options {
    /// One JSON object a line instead of a table.
    pub json: bool,
    /// Only these dialects of write-back, or contenders of `value`.
    pub dialects: Vec<String>,
    /// How long `areas` keeps a load up, and how long a turn of `value` is measured.
    pub seconds: Option<u64>,
    /// Only these scenarios of `areas`, `exact`, `ugly` and `value`; fault points, or variants of cost, whose name contains one of these.
    pub only: Vec<String>,
}

/// Those of `all` that are asked for by name: all, where none is.
///
/// # Errors
/// When none is called so.
fn chosen<'a, T>(all: &'a [T], name: impl Fn(&T) -> &'static str, options: &Options) -> Result<Vec<&'a T>> {
    let wanted = |it: &&T| options.only.is_empty() || options.only.iter().any(|only| name(it) == only);
    let chosen: Vec<&T> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        bail!("no scenario is called so; there are: {}", all.iter().map(name).collect::<Vec<_>>().join(", "));
    }
    Ok(chosen)
}

/// Runs the measurement called `name`; `true` when its bounds hold.
///
/// # Errors
/// When there is none of this name, or it cannot be carried out.
pub fn run(name: &str, options: &Options) -> Result<bool> {
    // The only one of an installed system.
    if name == "selftests" {
        return selftests::run(options);
    }
    preamble::check()?;
    match name {
        "areas" => areas::run(options),
        "cost" => cost::run(options),
        "exact" => exact::run(options),
        "faces" => faces::run(options),
        "kill" => kill::run(options),
        "ugly" => ugly::run(options),
        "value" => value::run(options),
        "writeback" => writeback::run(options),
        _ => bail!(
            "no measurement is called `{name}`; there are: areas, cost, exact, faces, kill, selftests, ugly, value, \
             writeback"
        ),
    }
}
