//! An agent whose `/dev` is its own and empty, as a unit with `PrivateDevices=yes` has it: it writes back to the disk that is
//! on, and nothing at all once a ghost is on whose name leads nowhere.

use anyhow::Result;

use super::ground::{Ground, Victim, ask, round};
use super::{Outcome, Round, strangers};
use crate::guest::agent::Agent;
use crate::guest::hidden::Ghost;
use crate::guest::kernel::vmstat;
use crate::guest::settings::root_valve_is;

/// Pages asked for.
const PAGES: u64 = 2_000;
/// The ghost goes before the stage's area, whose priority is 10.
const PRIORITY: &str = "20";

pub(super) fn private_dev(ground: &mut Ground) -> Result<Outcome> {
    ground.begin_anew(Agent::start_hidden)?;
    let mut target = Victim::set("private-dev", "24M")?;
    let mut stranger = Victim::set("private-dev-beside", "12M")?;
    stranger.store()?;
    target.age()?;
    let before = stranger.cgroup.stat("zswpwb")?;
    let mut outcome = Outcome::hit(round(&target.cgroup, PAGES, &[])?).alone();

    // A target that dies in the middle of its round costs whoever comes then a batch at most.
    let removed = strangers::removed(ground)?;
    outcome.figure("strangers_pages_of_a_dead_target", removed.round.elsewhere);
    outcome.faults.extend(removed.faults);

    let ghost = Ghost::make("private", "256M", PRIORITY)?;
    root_valve_is("0", "the root's valve to be closed")?;
    let (written, on_disk) = (target.cgroup.stat("zswpwb")?, vmstat("pswpout")?);
    // From here on pages go to the slots of the ghost.
    [&mut stranger, &mut target].into_iter().try_for_each(Victim::age)?;
    let (refused, said) = ask(target.cgroup.path(), PAGES, &[])?;
    let after = refused.unwrap_or_else(|| Round { ended: said.stderr.trim().to_owned(), ..Round::default() });
    let on_ghost = vmstat("pswpout")? - on_disk;
    let again = target.cgroup.stat("zswpwb")? - written;
    let lost = stranger.cgroup.stat("zswpwb")? - before;
    outcome.figure("pages_written_over_a_ghost", on_ghost.max(again));
    outcome.figure("strangers_pages", lost);
    outcome.claim(
        said.code != 0 && after.ended.contains("the ghost private"),
        format!("a round over a ghost ended as `{}` ({})", after.ended, said.code),
    );
    outcome
        .claim(on_ghost + again == 0, format!("{on_ghost} pages sent out over a ghost, {again} by a round"));
    outcome.claim(lost == 0, format!("{lost} pages of a stranger written back"));

    [stranger, target].into_iter().try_for_each(Victim::finish)?;
    ghost.remove()?;
    ground.begin_anew(|| Agent::start(&[]))?;
    root_valve_is("1", "the root's valve to be given back")?;
    Ok(outcome)
}
