//! A scenario played: each line is done, by the real agent where it is the agent's to do, and what it shows is written down.
//!
//! What is shown: what a command printed and how it ended; what happened by the agent's own account (its events, with `!`
//! before a trouble); which files are others by now; what begins and ceases to be held back or missing on the host.
//! Caller: `mod.rs`.

use std::{collections::BTreeSet, io, os::unix::net::UnixListener, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use super::{
    stage::{Stage, Tree, changes},
    story::Story,
    verb::{Start, Verb},
};
use crate::{
    agent::{Options, Service},
    cli,
    exit::Failure,
    recording::{Recording, replay::Replay},
    serve::{
        SOCKET,
        events::{Event, EventKind},
    },
};

/// How long a command may take: it answers at once, on a machine that may stand still meanwhile.
const PATIENCE: Duration = Duration::from_secs(300);

/// Plays a story and has it show what it shows now. Returns what must not be, whatever it shows.
pub(super) async fn play(story: &mut Story) -> Result<Vec<String>, String> {
    let mut player = Player { stage: Stage::new(), service: None, told: Told::default() };
    for scene in story.scenes_mut() {
        let at = |why: String| format!("line {}: {}: {why}", scene.line, scene.act);
        let verb = Verb::parse(&scene.act, scene.text.as_deref()).map_err(at)?;
        let shows = player.act(verb).await.map_err(at)?;
        scene.shows = shows.iter().map(|line| player.stage.scrubbed(line)).collect();
    }
    Ok(player.faults())
}

struct Player {
    stage: Stage,
    service: Option<Service>,
    told: Told,
}

/// What was shown of the agent's account.
#[derive(Default)]
struct Told {
    events: u64,
    held: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl Player {
    async fn act(&mut self, verb: Verb) -> Result<Vec<String>, String> {
        let before = self.stage.tree();
        let said = match verb {
            Verb::Deed(deed) => {
                self.stage.act(&deed).map_err(text)?;
                return Ok(Vec::new());
            }
            Verb::Release(path) => {
                self.stage.release(&path).map_err(text)?;
                self.written().await?;
                Vec::new()
            }
            Verb::Start(start) => self.start(start).await?,
            Verb::Tick(times) => {
                let service = self.service.as_mut().ok_or(NO_AGENT)?;
                for _ in 0..times {
                    service.tick_in_time().await;
                }
                Vec::new()
            }
            Verb::Swaptier(args) => self.command(args).await?,
            Verb::Stop => {
                self.service.take().ok_or(NO_AGENT)?.stop();
                Vec::new()
            }
            Verb::Kill => {
                drop(self.service.take().ok_or(NO_AGENT)?);
                // A dead process leaves its socket, to which nobody listens.
                UnixListener::bind(self.stage.path(SOCKET)).map(drop).map_err(text)?;
                Vec::new()
            }
        };
        Ok(self.shown(said, &before))
    }

    async fn start(&mut self, start: Start) -> Result<Vec<String>, String> {
        let options = Options { config: start.config, dry_run: start.dry_run, no_bpf: true };
        match Service::begin(self.stage.root().clone(), options).await {
            Ok(_) if self.service.is_some() => Err("there are two agents".to_owned()),
            Ok(service) => {
                self.told = Told::default();
                self.service = Some(service);
                Ok(Vec::new())
            }
            Err(failure) => Ok(ended(&failure)),
        }
    }

    /// Runs a command on a thread of its own, as it is a process of its own, while the agent hears it.
    async fn command(&mut self, args: Vec<String>) -> Result<Vec<String>, String> {
        let root = self.stage.path("").display().to_string();
        let line = ["swaptier".to_owned(), "--root".to_owned(), root].into_iter().chain(args);
        let line: Vec<String> = line.collect();
        let (tell, mut told) = oneshot::channel();
        std::thread::spawn(move || tell.send(cli::said(&line)));
        let served = async {
            loop {
                let Some(service) = &mut self.service else { return (&mut told).await };
                tokio::select! {
                    done = &mut told => return done,
                    () = service.hear() => {}
                }
            }
        };
        let ended_in_time = timeout(PATIENCE, served).await.map_err(|_| "it does not end".to_owned())?;
        let (said, exit) = ended_in_time.map_err(|_| "it panicked".to_owned())?;
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        match exit {
            Ok(exit) if exit as u8 == 0 => {}
            Ok(exit) => lines.push(format!("exit {}", exit as u8)),
            Err(failure) => lines.extend(ended(&failure)),
        }
        Ok(lines)
    }

    /// Waits until no write of the agent is under way.
    async fn written(&self) -> Result<(), String> {
        let service = self.service.as_ref().ok_or(NO_AGENT)?;
        let waited = timeout(PATIENCE, async {
            while service.is_writing() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        waited.await.map_err(|_| "the write does not return".to_owned())
    }

    /// What is shown of all that happened since `before`.
    fn shown(&mut self, mut lines: Vec<String>, before: &Tree) -> Vec<String> {
        if let Some(service) = &self.service {
            let (events, last) = service.board().events(self.told.events);
            self.told.events = last;
            lines.extend(events.iter().map(event));
            // What is missing when it starts, it says itself.
            let started = events.iter().filter(|event| event.kind == EventKind::Started);
            let is_said = |it: &String| started.clone().any(|event| event.text.contains(it.as_str()));
            self.told.missing.extend(missing(service).into_iter().filter(is_said));
        }
        lines.extend(changes(before, &self.stage.tree()).into_iter().map(|(_, line)| line));
        if let Some(service) = &self.service {
            let told = &mut self.told;
            begun_and_ended("held", &mut told.held, held(service), &mut lines);
            begun_and_ended("missing: ", &mut told.missing, missing(service), &mut lines);
        }
        lines
    }

    /// What must not be at the end of a scenario.
    fn faults(&self) -> Vec<String> {
        let mut faults = self.stage.faults();
        if self.service.is_some() {
            faults.push("an agent is still there: `stop` or `kill` ends it".to_owned());
        }
        faults.extend(self.decided_again());
        faults
    }

    /// What agents recorded is decided again by the same code: it must come to the same.
    fn decided_again(&self) -> Vec<String> {
        let folder = self.stage.path("var/lib/swaptier/recordings");
        if !folder.exists() {
            return Vec::new();
        }
        let mut recording = match Recording::open(&folder) {
            Ok(recording) => recording,
            Err(error) => return vec![error.to_string()],
        };
        let mut replay = Replay::new(None);
        for number in 0..recording.len() {
            match recording.frame_and_terms(number) {
                Ok((frame, terms)) => replay.frame(number, &frame, terms),
                Err(error) => return vec![error.to_string()],
            }
        }
        let report = replay.finish();
        let mut faults: Vec<String> =
            report.differences.iter().map(|it| format!("decided again it is otherwise: {it:?}")).collect();
        faults.extend(report.refused.iter().map(|why| format!("a recorded policy is refused: {why}")));
        if report.histories + report.unproven > 0 {
            faults.push(format!("what decisions remember is not what was recorded: {report:?}"));
        }
        faults
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

const NO_AGENT: &str = "there is no agent";

/// How a command, or an agent, that failed ends.
fn ended(failure: &Failure) -> Vec<String> {
    let text = format!("swaptier: {}", failure.text());
    text.lines().map(str::to_owned).chain([format!("exit {}", failure.exit as u8)]).collect()
}

fn event(event: &Event) -> String {
    let Event { kind, is_trouble, cgroup, by, text, reason, seq: _, unix_seconds: _ } = event;
    let sign = if *is_trouble { "! " } else { "" };
    let whose = whose(cgroup.as_deref().unwrap_or_default(), by.as_deref().unwrap_or_default());
    let why = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{sign}{}{whose}: {text}{why}", kind.name()).replace('\n', " | ")
}

/// Of which cgroup, and who asked; either may be nobody.
fn whose(cgroup: &str, by: &str) -> String {
    let word = |word: &str, name: &str| if name.is_empty() { String::new() } else { format!("{word}{name}") };
    word(" ", cgroup) + &word(" by ", by)
}

fn held(service: &Service) -> BTreeSet<String> {
    let page = service.board().newest();
    let held = page.iter().flat_map(|page| &page.status.held);
    held.map(|held| format!("{}: {}", whose(&held.cgroup, &held.policy), held.reason)).collect()
}

fn missing(service: &Service) -> BTreeSet<String> {
    let page = service.board().newest();
    page.iter().flat_map(|page| &page.status.agent.lost).cloned().collect()
}

/// Says what of these is new, and what is over.
fn begun_and_ended(what: &str, told: &mut BTreeSet<String>, now: BTreeSet<String>, lines: &mut Vec<String>) {
    lines.extend(now.difference(told).map(|it| format!("{what}{it}")));
    lines.extend(told.difference(&now).map(|it| format!("no longer {what}{it}")));
    *told = now;
}
