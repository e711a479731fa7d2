//! `closed_by_hand`: the mark of a policy that `swaptier close` wrote, with the path of the cgroup that it closes.
//!
//! Whoever takes such a file away again knows it by this key alone, so the key is refused wherever it could stand for
//! anything else: in another folder, with another pattern, with the way to disk left open.

use super::fault::{Faults, Place, SourceFile};
use super::walk::{Noted, Table, Taken, note};
use crate::close::{FOLDER, escaped};
use crate::path::CgroupPath;
use crate::policy::Selector;
use crate::rules::Use;

/// The path of the cgroup that the file closes; `None`: it is an ordinary policy.
pub(super) fn read(
    top: &Table<'_>,
    source: &SourceFile,
    selector: &Result<Selector, Noted>,
    uses: Result<Option<Use>, Noted>,
    faults: &mut Faults<'_>,
) -> Taken<CgroupPath> {
    let Some(path) = top.text("closed_by_hand", faults)? else { return Ok(None) };
    let mut refuse = |message: String| {
        let help = "remove the key: `swaptier close CGROUP` writes such a policy itself".to_owned();
        Err(note(faults, &path.span, message, Some(help)))
    };
    if matches!(&source.place, Place::File(_)) && source.place.path_in(FOLDER).is_none() {
        return refuse(format!("`closed_by_hand` means nothing outside of {FOLDER}"));
    }
    let is_for_it_alone = |selector: &Selector| match &selector.include[..] {
        [only] => only.text() == escaped(path.value) && selector.exclude.is_empty(),
        _ => false,
    };
    if selector.as_ref().is_ok_and(|selector| !is_for_it_alone(selector)) {
        return refuse(
            "`closed_by_hand` is another cgroup than the one that `match.cgroup` names".to_owned(),
        );
    }
    if uses.is_ok_and(|uses| uses != Some(Use::Zswap)) {
        return refuse("`closed_by_hand` closes nothing: `tiers.use` is not [\"zswap\"]".to_owned());
    }
    Ok(Some(CgroupPath::from_shown(path.value)))
}
