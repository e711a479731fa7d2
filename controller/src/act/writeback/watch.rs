//! What happens beside a round while the pump works: somebody calls it off, its cgroup goes away, new cgroups come.
//!
//! A cgroup that is made during a round is open for write-back as all are, and where the round closed its siblings it would
//! be written instead of them. So it is closed as well: noted first, told to the pump, given back with the rest. Who else
//! writes one of the closed valves is seen by its `eyes`. A cgroup that is frozen lies still; its round goes on. Looked at by
//! the thread that waits for the pump (`pump::link`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::fs::inotify;
use swaptier_policies::{CgroupId, Ended};

use super::{
    course::Course,
    eyes::Eyes,
    pump::link::{Sight, Tell, Verdict},
    put, replace,
    valves::{closing, read},
};
use crate::{
    act::Order,
    fault,
    journal::{Change, Undo},
    root::{CgroupDir, FilePath, Root, RootError},
};

/// More cgroups than these come in no round of seconds but where somebody makes them to no end.
const MOST: usize = 1024;

/// Why a round was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Whoever asked for it does not want it any more.
    CalledOff,
    /// The cgroup is gone, or another one is at its place.
    Gone,
    /// What came meanwhile could not be kept out.
    Crowded,
}

impl Cut {
    /// How the round ended.
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::CalledOff => Ended::CalledOff,
            Self::Gone => Ended::Gone,
            Self::Crowded => Ended::Crowded,
        }
    }
}

/// The watch of one round.
pub(super) struct Watch<'a> {
    root: &'a Root,
    undo: &'a Mutex<Undo>,
    order: &'a Order,
    course: &'a Course,
    /// The cgroups on the way down to the cgroup, whose other children are closed; empty where they are left open.
    above: Vec<Above>,
    /// Says that a child came or went. `None`: it cannot be had, and all are listed at each look.
    inotify: Option<OwnedFd>,
    /// One that came could not be looked at yet.
    is_unsure: bool,
    /// What was closed meanwhile, with its records.
    closed: Vec<(Change, u64)>,
    cut: Option<Cut>,
    eyes: Eyes,
    /// The files that somebody else wrote.
    foreign: BTreeSet<FilePath>,
}

/// What is left of a watch: what was closed meanwhile, with its records; why the round was ended from outside; who watches
/// on; the files that somebody else wrote.
pub(super) type Seen = (Vec<(Change, u64)>, Option<Cut>, Eyes, BTreeSet<FilePath>);

/// A cgroup on the way down.
struct Above {
    /// `None`: it could not be opened.
    dir: Option<CgroupDir>,
    /// The name of the child on the way.
    next: Vec<u8>,
    /// All children, as of the last look.
    known: BTreeMap<Vec<u8>, u64>,
}

impl Above {
    /// `None`: it is gone, or cannot be listed, which is the same for the round.
    fn children(&self) -> Option<BTreeMap<Vec<u8>, u64>> {
        let listed = self.dir.as_ref()?.children_with_ids();
        listed.ok().map(|names| names.into_iter().collect())
    }
}

impl<'a> Watch<'a> {
    /// Begins before the valves are looked at: what comes in between is found twice and closed once.
    pub(super) fn begin(root: &'a Root, undo: &'a Mutex<Undo>, order: &'a Order, course: &'a Course) -> Self {
        let on_the_way = std::iter::once(order.path.clone()).chain(order.path.above());
        let above: Vec<Above> = on_the_way
            .filter_map(|path| {
                let (dir, next) = (root.cgroup(&path.parent()?).ok(), path.name().to_vec());
                Some(Above { dir, next, known: BTreeMap::new() })
            })
            .collect();
        let inotify = notified(&above);
        let (is_unsure, closed, cut) = (false, Vec::new(), None);
        let (eyes, foreign) = (Eyes::open(), BTreeSet::new());
        let mut watch =
            Self { root, undo, order, course, above, inotify, is_unsure, closed, cut, eyes, foreign };
        for above in &mut watch.above {
            above.known = above.children().unwrap_or_default();
        }
        watch
    }

    /// What the round closes is known now: of the children that were there nothing is to be done.
    pub(super) fn aimed(&mut self, leaves_siblings: bool) {
        if leaves_siblings {
            self.above.clear();
        }
    }

    /// Writes a valve where it says what it said before the round, and watches it from there on.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn replace(&mut self, change: &Change) -> Result<(), RootError> {
        self.eyes.watch(self.root, &change.path);
        let written = replace(self.root, change);
        if matches!(written, Ok(false)) {
            self.foreign.insert(change.path.clone());
        }
        // Our own write, and whoever wrote the files before it.
        self.foreign.extend(self.eyes.touched().into_iter().filter(|path| *path != change.path));
        written.map(drop)
    }

    /// The round is over.
    pub(super) fn over(self) -> Seen {
        (self.closed, self.cut, self.eyes, self.foreign)
    }

    /// The valves of those that came since the last look, if they are open: the round's from now on.
    fn come(&mut self) -> Result<Vec<Change>, Cut> {
        let mut new = Vec::new();
        for above in &mut self.above {
            let mut now = above.children().ok_or(Cut::Gone)?;
            let came = |(name, id): &(&Vec<u8>, &u64)| above.known.get(*name) != Some(*id);
            let came: Vec<_> = now.iter().filter(came).map(|(name, id)| (name.clone(), *id)).collect();
            for (name, id) in came {
                if name == above.next {
                    return Err(Cut::Gone);
                }
                let Some(dir) = above.dir.as_ref().and_then(|dir| dir.child(&name).ok()) else { continue };
                let mut failed = None;
                let open = || match read(&dir, &self.order.why()) {
                    Ok(valve) => valve.and_then(closing),
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                };
                match self.course.take(CgroupId(id), open) {
                    Ok(taken) => new.extend(taken),
                    // It stays new until the next look.
                    Err(_busy) => {
                        now.remove(&name);
                        self.is_unsure = true;
                    }
                }
                // One that cannot be looked at cannot be kept out.
                if let Some(error) = failed.filter(|error| !error.is_gone()) {
                    tracing::warn!(%error, "a cgroup that was made during a round cannot be looked at, the round ends: {error}");
                    return Err(Cut::Crowded);
                }
            }
            above.known = now;
        }
        Ok(new)
    }

    /// Closes those that came since the last look.
    fn close_new(&mut self, tell: Tell<'_>) -> io::Result<Result<(), Cut>> {
        let new = match self.come() {
            Ok(new) if new.is_empty() => return Ok(Ok(())),
            Ok(new) if self.closed.len() + new.len() > MOST => return Ok(Err(Cut::Crowded)),
            Ok(new) => new,
            Err(cut) => return Ok(Err(cut)),
        };
        let noted = self.undo.lock().unwrap_or_else(PoisonError::into_inner).note(&new);
        let seqs = match noted {
            Ok(seqs) => seqs,
            Err(error) => {
                tracing::warn!(%error, "a cgroup that was made during a round cannot be noted, the round ends: {error}");
                return Ok(Err(Cut::Crowded));
            }
        };
        fault::point("round.new.noted");
        self.closed.extend(new.iter().cloned().zip(seqs));
        tell(new.iter().map(put).collect())?;
        fault::point("round.new.told");
        for change in &new {
            match self.replace(change) {
                Err(error) if !error.is_gone() => {
                    tracing::warn!(%error, "a cgroup that was made during a round cannot be closed, the round ends: {error}");
                    return Ok(Err(Cut::Crowded));
                }
                _ => fault::point("round.new.closed"),
            }
        }
        Ok(Ok(()))
    }

    fn is_stirred(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let (mut is_stirred, mut events) = (std::mem::take(&mut self.is_unsure), [0; 4096]);
        while rustix::io::read(inotify, &mut events).is_ok_and(|read| read > 0) {
            is_stirred = true;
        }
        is_stirred
    }
}

impl Sight for Watch<'_> {
    fn fd(&self) -> Option<&OwnedFd> {
        self.inotify.as_ref()
    }

    fn look(&mut self, tell: Tell<'_>) -> io::Result<Verdict> {
        let is_there = || self.root.cgroup_id(&self.order.path).is_ok_and(|id| id == self.order.cgroup.0);
        let cut = if self.course.called_off().is_some() {
            Some(Cut::CalledOff)
        } else if !is_there() {
            Some(Cut::Gone)
        } else if self.is_stirred() {
            self.close_new(tell)?.err()
        } else {
            None
        };
        self.cut = self.cut.or(cut);
        Ok(if self.cut.is_some() { Verdict::End } else { Verdict::GoOn })
    }
}

/// Children of these that come or go are told from now on.
fn notified(above: &[Above]) -> Option<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::ONLYDIR;
    for above in above {
        // By the open directory: its path may be another's by now.
        let dir = format!("/proc/self/fd/{}", above.dir.as_ref()?.fd().as_raw_fd());
        inotify::add_watch(&inotify, dir, what).ok()?;
    }
    Some(inotify)
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{Asker, Pages, Seconds};

    use super::{
        super::{pump::wire::Put, valves::FILE},
        *,
    };
    use crate::{fake::FakeRoot, root::cgroup_file};

    fn order(path: &str, id: u64) -> Order {
        Order {
            cgroup: CgroupId(id),
            path: path.into(),
            older_than: Seconds(5),
            pages: Pages(1),
            spared: Vec::new(),
            by: Asker::Policy("a.toml".to_owned()),
            dry_run: false,
        }
    }

    fn undo(fake: &FakeRoot) -> Mutex<Undo> {
        Mutex::new(Undo::open(fake.root(), &fake.path("state")).unwrap())
    }

    fn value(fake: &FakeRoot, cgroup: &str) -> String {
        fake.read(&cgroup_file(cgroup, FILE))
    }

    #[test]
    fn a_cgroup_that_comes_beside_the_way_down_is_noted_told_and_closed() {
        let fake = FakeRoot::host();
        fake.cgroup("s");
        let (id, undo, course) = (fake.cgroup("s/a"), undo(&fake), Course::default());
        fake.cgroup("s/b");
        let order = order("s/a", id);
        let mut watch = Watch::begin(fake.root(), &undo, &order, &course);
        course.holds(&[]);
        let mut told = Vec::new();
        assert!(matches!(
            watch.look(&mut |puts| {
                told.extend(puts);
                Ok(())
            }),
            Ok(Verdict::GoOn)
        ));
        assert_eq!(told, [], "those that were there are the survey's");
        // Beside the cgroup, beside the one above it, and below it, where all is the round's.
        let ids: Vec<u64> = ["s/late", "later", "s/a/own"].map(|path| fake.cgroup(path)).into();
        fake.cgroup("s/shut");
        fake.write(&cgroup_file("s/shut", FILE), "0\n");
        let mut tell = |puts: Vec<Put>| {
            // Told before it is done: else nobody puts it back when the agent dies in between.
            assert_eq!((value(&fake, "s/late").as_str(), undo.lock().unwrap().pending().count()), ("1", 2));
            told.extend(puts);
            Ok(())
        };
        assert!(matches!(watch.look(&mut tell), Ok(Verdict::GoOn)));
        assert_eq!(["s/late", "later", "s/a/own", "s/b"].map(|it| value(&fake, it)), ["0", "0", "1", "1"]);
        assert_eq!((told.len(), watch.closed.len()), (2, 2));
        assert!(course.has(&cgroup_file("s/late", FILE), Some(ids[0])));
        // One that somebody opens again stays open: it is looked at once.
        fake.write(&cgroup_file("later", FILE), "1\n");
        fake.cgroup("s/last");
        assert!(matches!(watch.look(&mut |_| Ok(())), Ok(Verdict::GoOn)));
        assert_eq!(["later", "s/last"].map(|it| value(&fake, it)), ["1", "0"]);
        // Another one at the place of one that was there is new.
        fake.replace_cgroup("s/b");
        fake.write(&cgroup_file("s/b", FILE), "1\n");
        assert!(matches!(watch.look(&mut |_| Ok(())), Ok(Verdict::GoOn)));
        assert_eq!(value(&fake, "s/b"), "0");
    }

    #[test]
    fn a_round_ends_with_its_cgroup_or_when_it_is_called_off() {
        let fake = FakeRoot::host();
        let (id, undo) = (fake.cgroup("a"), undo(&fake));
        let order = order("a", id);
        let cut = |course: &Course| {
            let mut watch = Watch::begin(fake.root(), &undo, &order, course);
            let verdict = watch.look(&mut |_| Ok(())).unwrap();
            (matches!(verdict, Verdict::End), watch.cut)
        };
        assert_eq!(cut(&Course::default()), (false, None));
        // Frozen, it is still there.
        fake.write(&cgroup_file("a", "cgroup.events"), "populated 1\nfrozen 1\n");
        assert_eq!(cut(&Course::default()), (false, None));
        let off = Course::default();
        off.call_off("closed by hand");
        assert_eq!(cut(&off), (true, Some(Cut::CalledOff)));
        fake.replace_cgroup("a");
        assert_eq!(cut(&Course::default()), (true, Some(Cut::Gone)), "another one is at its place");
        fake.remove("sys/fs/cgroup/a");
        assert_eq!(cut(&Course::default()), (true, Some(Cut::Gone)));
    }

    #[test]
    fn what_cannot_be_kept_out_ends_the_round() {
        let fake = FakeRoot::host();
        let (id, undo, course) = (fake.cgroup("a"), undo(&fake), Course::default());
        let order = order("a", id);
        let mut watch = Watch::begin(fake.root(), &undo, &order, &course);
        undo.lock().unwrap().replace_log(std::fs::File::open("/dev/null").unwrap(), "/dev/null");
        fake.cgroup("b");
        assert!(matches!(watch.look(&mut |_| Err(io::ErrorKind::Other.into())), Ok(Verdict::End)));
        assert_eq!(
            (watch.cut, value(&fake, "b").as_str()),
            (Some(Cut::Crowded), "1"),
            "not noted, not changed"
        );
    }

    #[test]
    fn a_way_of_the_kernels_own_needs_nobody_kept_out() {
        let fake = FakeRoot::host();
        let (id, undo, course) = (fake.cgroup("a"), undo(&fake), Course::default());
        let order = order("a", id);
        let mut watch = Watch::begin(fake.root(), &undo, &order, &course);
        watch.aimed(true);
        fake.cgroup("b");
        assert!(matches!(watch.look(&mut |_| Ok(())), Ok(Verdict::GoOn)));
        assert_eq!(value(&fake, "b"), "1");
    }
}
