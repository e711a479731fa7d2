//! The way to each fault point: which process is started, how far it is let go, what it is asked.

use super::scene::Recovery;

/// How a point is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The agent's start and its ticks, without probes.
    Plain,
    /// The same with probes.
    Probes,
    /// A round of the agent with probes.
    Round,
    /// A round beside which cgroups come and go.
    Visited,
    /// A round whose client is killed.
    GivenUp,
    /// A round of the gate.
    Gate,
    /// The agent is asked to stop, without probes.
    Stop,
    /// The agent is asked to stop after a round.
    StopAfterRound,
    /// An agent is killed when its values are set; the fault is in the next one's start.
    Successor,
    /// The same, and the fault is in `restore`.
    Restore,
    /// The fault is the pump's own end: the agent lives on.
    Pump,
    /// An agent with probes is asked to stop, and gives its map to the service manager.
    Handover,
    /// The same, and the fault is in the start of the next one, which takes it.
    Taken,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// The point, and who is killed there, as the variable names it.
    pub(super) fault: &'static str,
    pub(super) way: Way,
    /// Somebody else changes one of our values between the kill and the way back.
    pub(super) foreign: bool,
    /// Somebody beside stores pages all the time, so that a stroke is a short window.
    pub(super) crowded: bool,
    /// The processes are stopped at the point instead of killed, and go on later.
    pub(super) is_stop: bool,
}

impl Case {
    /// The ways back that are tried, one run each.
    pub(super) fn recoveries(&self) -> &'static [Recovery] {
        match self.way {
            Way::Pump => &[Recovery::Itself],
            // Both read the same log and see the same objects: one way each, in turns, keeps the table short. But where the
            // guardian was killed too, all of a round is left to them.
            // Whoever is restarted must have the map again; whoever is not must be rid of it.
            Way::Handover | Way::Taken => &[Recovery::Restore, Recovery::Agent],
            _ if self.foreign || self.fault.contains("guardian") => &[Recovery::Restore, Recovery::Agent],
            _ if self.fault.len().is_multiple_of(2) => &[Recovery::Restore],
            _ => &[Recovery::Agent],
        }
    }

    /// The same way to the same point, where the processes are stopped; none for what happens only after a death, or
    /// needs one of several faults.
    pub(super) fn stopped(self) -> Option<Case> {
        let is_after_a_death = self.fault.contains(',') || self.foreign;
        (!is_after_a_death).then_some(Case { is_stop: true, ..self })
    }

    /// What the variable is set to.
    pub(super) fn variable(&self) -> String {
        match self.fault.split_once('@') {
            _ if !self.is_stop => self.fault.to_owned(),
            Some((place, whom)) => format!("{place}@stop-{whom}"),
            None => format!("{}@stop", self.fault),
        }
    }

    /// Whether the service manager has a part in it.
    pub(super) fn is_managed(&self) -> bool {
        matches!(self.way, Way::Handover | Way::Taken)
    }

    /// The point's name alone.
    pub(super) fn name(&self) -> &'static str {
        let last = self.fault.rsplit(',').next().unwrap_or(self.fault);
        last.split([':', '@']).next().unwrap_or(last)
    }
}

pub(super) const fn case(way: Way, fault: &'static str) -> Case {
    Case { fault, way, foreign: false, crowded: false, is_stop: false }
}

const fn foreign(way: Way, fault: &'static str) -> Case {
    Case { foreign: true, ..case(way, fault) }
}

pub(super) const fn crowded(way: Way, fault: &'static str) -> Case {
    Case { crowded: true, ..case(way, fault) }
}

/// Every point of the agent's table, most of them once; those in both processes, and those passed often, more than once.
pub(super) const CASES: &[Case] = &[
    case(Way::Plain, "state.locked"),
    case(Way::Plain, "state.replace.written"),
    case(Way::Plain, "state.replace.renamed"),
    case(Way::Plain, "undo.opened"),
    case(Way::Plain, "undo.note.before"),
    case(Way::Plain, "undo.note.unsynced:2"),
    case(Way::Plain, "undo.note.synced"),
    case(Way::Plain, "undo.note.synced:4"),
    case(Way::Plain, "undo.settle.before:3"),
    case(Way::Plain, "undo.settle.after"),
    case(Way::Plain, "file.read:2"),
    case(Way::Plain, "file.noted"),
    case(Way::Plain, "file.written"),
    case(Way::Plain, "file.written:4"),
    case(Way::Plain, "file.read-back:5"),
    case(Way::Plain, "params.between"),
    case(Way::Plain, "agent.locked"),
    case(Way::Plain, "agent.restored"),
    case(Way::Plain, "agent.started"),
    case(Way::Plain, "agent.listening"),
    case(Way::Plain, "agent.ready"),
    case(Way::Plain, "tick.sensed"),
    case(Way::Plain, "tick.decided"),
    case(Way::Plain, "tick.step:2"),
    case(Way::Plain, "tick.acted"),
    foreign(Way::Plain, "tick.journalled"),
    case(Way::Plain, "journal.written"),
    case(Way::Plain, "socket.bound"),
    case(Way::Plain, "socket.ready"),
    case(Way::Stop, "stop.begun"),
    case(Way::Stop, "stop.pump.stopped"),
    case(Way::Stop, "undo.done.before"),
    case(Way::Stop, "undo.done.after"),
    case(Way::Stop, "stop.given-back"),
    case(Way::Successor, "restore.begun"),
    case(Way::Successor, "restore.written:2"),
    case(Way::Successor, "restore.marked:2"),
    foreign(Way::Restore, "restore.begun"),
    case(Way::Restore, "restore.written"),
    case(Way::Restore, "restore.marked"),
    case(Way::Restore, "sweep.begun"),
    case(Way::Restore, "sweep.half"),
    case(Way::Probes, "load.folder"),
    case(Way::Probes, "load.half"),
    case(Way::Probes, "load.loaded"),
    case(Way::Probes, "map.part.made"),
    case(Way::Probes, "map.part.entered"),
    case(Way::Probes, "map.chunk.half"),
    case(Way::Probes, "attach.half"),
    case(Way::Probes, "attach.done"),
    case(Way::Handover, "handover.given"),
    case(Way::Handover, "handover.given:20"),
    case(Way::Handover, "handover.kept"),
    case(Way::Taken, "handover.pinned:20"),
    case(Way::Taken, "handover.taken"),
    case(Way::Taken, "handover.dropped"),
    case(Way::Round, "round.begun"),
    case(Way::Round, "round.home.noted"),
    case(Way::Round, "round.home.made"),
    case(Way::Round, "round.home.closed"),
    case(Way::Round, "round.pump.spawned"),
    case(Way::Round, "round.pump.started"),
    case(Way::Round, "round.surveyed"),
    case(Way::Round, "round.noted"),
    case(Way::Round, "round.valve"),
    foreign(Way::Round, "round.valve:2"),
    case(Way::Gate, "round.host"),
    case(Way::Round, "round.aimed"),
    case(Way::Round, "round.job.sent"),
    case(Way::Visited, "round.new.noted"),
    case(Way::Visited, "round.new.told"),
    case(Way::Visited, "round.new.closed"),
    case(Way::GivenUp, "round.cut"),
    case(Way::Round, "round.answered"),
    case(Way::Round, "round.give-back"),
    case(Way::Round, "round.give-back:2"),
    case(Way::Round, "round.given-back"),
    case(Way::Round, "round.finished"),
    case(Way::Pump, "pump.ready"),
    case(Way::Pump, "pump.job"),
    case(Way::Pump, "pump.opened"),
    case(Way::Pump, "pump.valve.opened"),
    case(Way::Pump, "pump.ride.on"),
    case(Way::Pump, "pump.ride.off"),
    case(Way::Pump, "pump.limit.low"),
    case(Way::Pump, "pump.limit.high"),
    case(Way::Pump, "pump.accept.low"),
    crowded(Way::Pump, "pump.accept.first"),
    crowded(Way::Pump, "pump.both.low"),
    case(Way::Pump, "pump.stroked"),
    case(Way::Pump, "pump.full"),
    case(Way::Pump, "pump.valve.closed"),
    case(Way::Pump, "pump.settled"),
    case(Way::Pump, "pump.given-up"),
    case(Way::Pump, "pump.answered"),
    case(Way::Round, "pump.job@parent"),
    case(Way::Round, "pump.valve.opened@parent"),
    case(Way::Round, "pump.ride.on@parent"),
    case(Way::Round, "pump.ride.off@parent"),
    foreign(Way::Round, "pump.limit.low@parent"),
    case(Way::Round, "pump.limit.high@parent"),
    case(Way::Round, "pump.stroked@parent"),
    case(Way::Round, "pump.full@parent"),
    case(Way::Round, "pump.valve.closed@parent"),
    case(Way::Round, "pump.settled@parent"),
    case(Way::Round, "pump.given-up@parent"),
    case(Way::Round, "pump.answered@parent"),
    case(Way::Round, "pump.valve.opened@both"),
    case(Way::Round, "pump.limit.low@both"),
    case(Way::Round, "pump.limit.high@both"),
    case(Way::Round, "pump.accept.low@parent"),
    case(Way::Round, "pump.accept.low@both"),
    crowded(Way::Round, "pump.accept.first@both"),
    crowded(Way::Round, "pump.both.low@parent"),
    crowded(Way::Round, "pump.both.low@both"),
    case(Way::Round, "pump.valve.closed@both"),
    case(Way::Gate, "pump.valve.opened:2@both"),
    case(Way::Round, "pump.limit.high@parent,guardian.begun"),
    case(Way::Round, "pump.limit.low@parent,guardian.put:2"),
    case(Way::Round, "round.valve,guardian.begun"),
    case(Way::Round, "round.aimed,guardian.put:2"),
    case(Way::StopAfterRound, "stop.pump.ended"),
    case(Way::StopAfterRound, "stop.home.removed"),
    case(Way::StopAfterRound, "stop.detached"),
    case(Way::StopAfterRound, "stop.unpinned"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::WORST;
    use super::*;

    /// The table as it stands in the agent's source: a row is a name and what it means.
    fn points() -> BTreeSet<&'static str> {
        let source = include_str!("../../../../../controller/src/fault.rs");
        let table = source.split_once("POINTS").expect("the table").1.split_once("];").expect("its end").0;
        table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"').map(|(name, _)| name))
            .collect()
    }

    #[test]
    fn every_fault_point_is_killed_at() {
        let cases: BTreeSet<&str> = CASES.iter().map(Case::name).collect();
        let mut all: BTreeSet<&str> = cases.clone();
        all.extend(
            CASES
                .iter()
                .flat_map(|case| case.fault.split(','))
                .map(|f| f.split([':', '@']).next().unwrap_or(f)),
        );
        // Those of areas are passed by commands, not by the agent: `bench areas` kills there. At that of the screen, which
        // changes nothing, a test has it panic.
        let is_others = |point: &&str| point.starts_with("area.") || point.starts_with("top.");
        let agents = points().into_iter().filter(|point| !is_others(point)).collect();
        assert_eq!(all, agents);
        assert!(points().len() >= 40, "{} points", points().len());
    }

    #[test]
    fn who_is_killed_is_who_is_stopped() {
        let variable = |fault| case(Way::Round, fault).stopped().map(|case| case.variable());
        assert_eq!(variable("pump.limit.low").as_deref(), Some("pump.limit.low@stop"));
        assert_eq!(variable("pump.limit.low@both").as_deref(), Some("pump.limit.low@stop-both"));
        assert_eq!(variable("round.valve,guardian.begun"), None);
        assert_eq!(case(Way::Round, "pump.job@parent").variable(), "pump.job@parent");
    }

    #[test]
    fn the_short_run_takes_cases_of_the_table() {
        for fault in WORST {
            assert!(CASES.iter().any(|case| case.fault == fault), "{fault}");
        }
    }
}
