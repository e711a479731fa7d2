//! An agent on a fake root: all of it but the probes, which see the host alone.

use swaptier_policies::{
    Action, Asker, Because, CgroupId, Decision, Knob, Limit, Outcome, Pages, Plan, Reason, Seconds, Step,
    Violation,
    guard::Broken,
    plan::{Basis, Bound},
};
use tokio::sync::{mpsc, oneshot};

use super::{Agent, Barred, Options, barred, view::MapView};
use crate::{
    act::Order,
    fake::FakeRoot,
    journal::{Change, Undo},
    root::cgroup_file,
    sense,
    serve::{
        events::Event,
        lock::SocketLock,
        protocol::{Answer, Ask},
        server::Errand,
    },
};

const POLICY: &str = "schema = 1\n[match]\ncgroup = [\"*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";

/// An agent that has begun and not ticked yet.
pub(super) async fn agent_on(fake: &FakeRoot) -> Agent {
    let options = Options { no_bpf: true, ..Options::default() };
    Agent::start(fake.root().clone(), options).await.unwrap_or_else(|failure| panic!("{:#}", failure.error))
}

const DIR: &str = "etc/swaptier/policies.d";

/// Writes a policy for these cgroups.
fn policy(fake: &FakeRoot, name: &str, cgroup: &str, tiers: &str) {
    let text = format!("schema = 1\n[match]\ncgroup = [\"{cgroup}\"]\n[tiers]\n{tiers}\n");
    fake.write(&format!("{DIR}/{name}"), &text);
}

/// A tick while which nobody asks for anything.
async fn tick(agent: &mut Agent) {
    agent.tick(&mut mpsc::channel(1).1).await;
}

/// A tick in which it is decided, whatever the interval says.
async fn decide(agent: &mut Agent) {
    agent.is_due = true;
    tick(agent).await;
}

fn file(fake: &FakeRoot, cgroup: &str, name: &str) -> String {
    fake.read(&cgroup_file(cgroup, name))
}

/// Events of trouble with these words.
fn troubles(agent: &Agent, words: &str) -> Vec<Event> {
    agent
        .board
        .events(0)
        .0
        .into_iter()
        .filter(|event| event.is_trouble && event.text.contains(words))
        .collect()
}

#[tokio::test]
async fn limits_of_others_that_no_key_asks_for_stay_as_they_are() {
    let fake = FakeRoot::host();
    fake.cgroup("pod");
    // What a kubelet writes for a pod that may not swap.
    for (name, value) in
        [("memory.swap.max", "0"), ("memory.zswap.max", "10485760"), ("memory.zswap.writeback", "0")]
    {
        fake.write(&cgroup_file("pod", name), value);
    }
    policy(&fake, "p.toml", "**", "use = [\"zswap\", \"disk\"]");
    let mut agent = agent_on(&fake).await;
    decide(&mut agent).await;
    let now = ["memory.swap.max", "memory.zswap.max", "memory.zswap.writeback"]
        .map(|name| file(&fake, "pod", name));
    assert_eq!(now, ["0", "10485760", "0"]);
}

#[tokio::test]
async fn who_changes_a_file_after_the_policy_began_has_the_last_word_and_it_is_told_once() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    policy(&fake, "p.toml", "**", "use = [\"zswap\", \"disk\"]\nzswap_max = \"max\"\noverflow = \"keep\"");
    let mut agent = agent_on(&fake).await;
    decide(&mut agent).await;
    assert_eq!(file(&fake, "a", "memory.zswap.writeback"), "0");
    // As `systemctl set-property a MemoryZSwapMax=40M`, over a `max` that was found and not written.
    fake.write(&cgroup_file("a", "memory.zswap.max"), "41943040\n");
    for _ in 0..3 {
        decide(&mut agent).await;
    }
    assert_eq!(file(&fake, "a", "memory.zswap.max"), "41943040");
    assert_eq!(troubles(&agent, "somebody set memory.zswap.max to 40.0 MiB").len(), 1);
    // An agent that stops leaves it, too.
    agent.stop();
    assert_eq!(file(&fake, "a", "memory.zswap.max"), "41943040");
    assert_eq!(file(&fake, "a", "memory.zswap.writeback"), "1");
}

#[tokio::test]
async fn what_we_set_and_no_key_asks_for_any_more_is_given_back() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.write(&cgroup_file("a", "memory.swap.max"), "8192000\n");
    policy(&fake, "p.toml", "a", "use = [\"zswap\", \"disk\"]\nswap_max = \"max\"\nzswap_max = \"1M\"");
    let mut agent = agent_on(&fake).await;
    decide(&mut agent).await;
    let limits = || ["memory.swap.max", "memory.zswap.max"].map(|name| file(&fake, "a", name));
    assert_eq!(limits(), ["max", "1048576"]);
    policy(&fake, "p.toml", "a", "use = [\"zswap\", \"disk\"]\nzswap_max = \"1M\"");
    agent.reload(false);
    decide(&mut agent).await;
    assert_eq!(limits(), ["8192000", "1048576"]);
}

/// Whose change it is decides, and no word of what is said of it.
#[tokio::test]
async fn what_is_given_back_is_not_decided_by_the_words_of_a_record() {
    let fake = FakeRoot::host();
    let files = ["a", "b"].map(|cgroup| (fake.cgroup(cgroup), cgroup_file(cgroup, "memory.swap.max")));
    let mut agent = agent_on(&fake).await;
    let by = [Asker::Policy("gone.toml".to_owned()), Asker::Other("policy gone.toml".to_owned())];
    for ((id, path), by) in files.iter().zip(by) {
        let why = match by {
            Asker::Policy(_) => "reworded".to_owned(),
            _ => "policy gone.toml".to_owned(),
        };
        let change = Change { why, ..Change::file(path, Some(*id), "max", "8192", &by) };
        agent.undo.lock().unwrap().note(&[change]).unwrap();
        fake.write(path, "8192\n");
    }
    decide(&mut agent).await;
    assert_eq!(["a", "b"].map(|cgroup| file(&fake, cgroup, "memory.swap.max")), ["max", "8192"]);
    agent.stop();
    assert_eq!(file(&fake, "b", "memory.swap.max"), "max", "at the end all goes back");
}

#[tokio::test]
async fn a_setting_that_the_kernel_does_not_take_is_missing_and_said() {
    let fake = FakeRoot::host();
    fake.write("etc/swaptier/swaptier.toml", "[zswap]\nmax_pool_percent = 30\nshrinker_enabled = true\n");
    // As on a kernel that was built without it.
    fake.remove("sys/module/zswap/parameters/shrinker_enabled");
    let mut agent = agent_on(&fake).await;
    tick(&mut agent).await;
    let lost = agent.board.newest().unwrap().status.agent.lost.join("\n");
    assert!(
        lost.contains("a setting of [zswap] did not take: swaptier.toml asks for shrinker_enabled = Y, and "),
        "{lost}"
    );
    assert!(!lost.contains("max_pool_percent"), "{lost}");
    assert_eq!(fake.read("sys/module/zswap/parameters/max_pool_percent"), "30");
    // Somebody changes one later, and takes that back.
    let limit = "sys/module/zswap/parameters/max_pool_percent";
    let mut says_of_limit = async |value: &str| {
        fake.write(limit, value);
        tick(&mut agent).await;
        agent.board.newest().unwrap().status.agent.lost.join("\n").contains("max_pool_percent = 30, and")
    };
    assert!(says_of_limit("25\n").await);
    assert!(!says_of_limit("30\n").await);
}

#[tokio::test]
async fn an_agent_with_a_damaged_list_of_areas_starts_manages_none_and_says_so() {
    const LIST: &str = "var/lib/swaptier/areas.json";
    let fake = FakeRoot::host();
    fake.cgroup("a");
    policy(&fake, "p.toml", "a", "use = [\"zswap\", \"disk\"]\noverflow = \"disk\"");
    fake.write("etc/swaptier/swaptier.toml", "[[area]]\nname = \"main\"\nkind = \"ghost\"\nsize = \"64M\"\n");
    fake.write(LIST, "{\"version\":1,");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(fake.path("var/lib/swaptier"), mode).unwrap();
    // Whoever made it: nothing is under it.
    fake.write("proc/swaps", "Filename Type Size Used Priority\n/anywhere/big ghost 1048576 0 1\n");
    let mut agent = agent_on(&fake).await;
    decide(&mut agent).await;
    agent.say_started();
    let lost = || agent.board.newest().unwrap().status.agent.lost.join("\n");
    assert!(lost().contains("no swap area is made, grown or taken off: the list of areas "), "{}", lost());
    assert!(lost().contains("move it away and restart the agent"), "{}", lost());
    assert_eq!(troubles(&agent, "missing on this host: ").len(), 1);
    assert_eq!(fake.read(LIST), "{\"version\":1,");
    let valve = file(&fake, "a", "memory.zswap.writeback");
    assert_eq!(valve, "0", "the gate over the ghost is closed all the same");
    // A whole one comes back.
    fake.write(LIST, "{\"version\":1,\"boot\":\"boot-one\",\"areas\":[]}");
    tick(&mut agent).await;
    let lost = agent.board.newest().unwrap().status.agent.lost.join("\n");
    assert!(lost.contains("the list of areas can be used again: restart the agent"), "{lost}");
}

#[tokio::test]
async fn who_asks_while_the_host_is_read_is_answered_before_the_decision_and_it_is_by_that() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let mut agent = agent_on(&fake).await;
    tick(&mut agent).await;
    policy(&fake, "p.toml", "a", "use = [\"zswap\"]");
    let ((client, mut answer), (send, mut errands)) = (oneshot::channel(), mpsc::channel(1));
    let (ask, read) = (Ask::Reload { dry_run: false }, std::time::Instant::now());
    send.try_send(Errand { ask, read, client }).unwrap();
    agent.tick(&mut errands).await;
    assert!(matches!(answer.try_recv(), Ok(Answer::Done { .. })));
    assert_eq!(file(&fake, "a", "memory.zswap.writeback"), "0");
}

#[tokio::test]
async fn a_policy_may_have_any_name() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.cgroup("b");
    for (name, cgroup) in [("swaptier.toml", "a"), ("the swap areas.toml", "b")] {
        policy(&fake, name, cgroup, "use = [\"zswap\"]");
    }
    let mut agent = agent_on(&fake).await;
    decide(&mut agent).await;
    let valves = ["a", "b"].map(|cgroup| file(&fake, cgroup, "memory.zswap.writeback"));
    assert_eq!(valves, ["0", "0"]);
    assert!(troubles(&agent, "").is_empty(), "{:?}", troubles(&agent, ""));
}

/// One bad step stopped all policies of the host before, and nobody was told.
#[test]
fn a_step_that_breaks_a_rule_stops_the_steps_of_its_own_cgroup() {
    let step = |id| Step {
        action: Action::Set { cgroup: CgroupId(id), knob: Knob::SwapMax, to: Limit::ZERO.into() },
        by: Asker::Policy("a.toml".to_owned()),
        reason: Reason::Differs {
            from: Limit::Max.into(),
            to: Limit::ZERO.into(),
            because: Because::Limit(Basis::Given),
        },
    };
    let plan = Plan { steps: vec![step(5), step(6), step(5)], ..Plan::default() };
    let wrong = [Violation { step: 2, broken: Broken::Twice }, Violation { step: 9, broken: Broken::Idle }];
    let barred = barred(&plan, &wrong);
    assert_eq!(barred.keys().collect::<Vec<_>>(), [&CgroupId(5)]);
    let Barred { by, why } = &barred[&CgroupId(5)];
    assert!(by.policy() == Some("a.toml") && why.contains("an earlier step does the same"), "{why}");
}

fn ask(agent: &mut Agent, ask: Ask) -> oneshot::Receiver<Answer> {
    let (client, answer) = oneshot::channel();
    agent.answer(ask, client);
    answer
}

fn writeback() -> Ask {
    Ask::Writeback { cgroup: "a".into(), older_than: 0, pages: 2, dialect: None, dry_run: false }
}

#[tokio::test]
async fn a_round_by_hand_keeps_nobody_else_waiting_and_is_ended_by_a_close() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.write("etc/swaptier/policies.d/own.toml", POLICY);
    let mut agent = agent_on(&fake).await;
    let mut round = ask(&mut agent, writeback());
    assert!(agent.rounds.is_due() && round.try_recv().is_err(), "it waits for its turn");
    let reload = ask(&mut agent, Ask::Reload { dry_run: false }).try_recv();
    assert!(matches!(reload, Ok(Answer::Done { .. })), "{reload:?}");
    assert!(agent.rounds.is_due(), "the same policies are no reason to end it");
    let close = ask(&mut agent, Ask::Close { cgroup: "a".into(), dry_run: false }).try_recv();
    assert!(matches!(close, Ok(Answer::Done { .. })), "{close:?}");
    let Ok(Answer::Refused { exit: 1, message }) = round.try_recv() else { panic!("it goes on") };
    assert!(message.contains("`swaptier open a` opens it"), "{message}");
    assert!(!agent.rounds.is_due());
    let Ok(Answer::Refused { exit: 1, .. }) = ask(&mut agent, writeback()).try_recv() else {
        panic!("a round of a closed cgroup")
    };
}

#[tokio::test]
async fn what_an_answer_took_is_published_and_a_round_that_waits_has_none_yet() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.write("etc/swaptier/policies.d/own.toml", POLICY);
    let mut agent = agent_on(&fake).await;
    tick(&mut agent).await;
    let longest = |agent: &Agent| agent.board.newest().unwrap().status.agent.cost.longest_answer_cpu_ms;
    for (ask, is_answered) in [(writeback(), false), (Ask::Reload { dry_run: true }, true)] {
        let (client, _answer) = oneshot::channel();
        agent.self_cost.mark();
        agent.errand(Errand { ask, read: std::time::Instant::now(), client });
        agent.rounds.call_off(|_, _| Some("seen".to_owned()));
        tick(&mut agent).await;
        assert_eq!(longest(&agent) > 0.0, is_answered);
    }
}

#[tokio::test]
async fn nothing_is_done_for_a_client_that_has_gone() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.write("etc/swaptier/policies.d/own.toml", POLICY);
    let mut agent = agent_on(&fake).await;
    let (client, gone) = oneshot::channel();
    drop(gone);
    agent.answer(Ask::Close { cgroup: "a".into(), dry_run: false }, client);
    assert_eq!(agent.policies.len(), 1, "closed for nobody");
    // One that leaves while its round waits.
    drop(ask(&mut agent, writeback()));
    assert!(agent.rounds.is_due());
    agent.call_off_unwanted();
    assert!(!agent.rounds.is_due());
}

/// Has a step be decided, with this outcome.
fn is_decided(agent: &mut Agent, step: &Step, outcome: Outcome) {
    let sensed = sense::collect(&agent.root, &mut agent.tree).unwrap();
    let snapshot = agent.snapshot(&sensed, Vec::new(), &MapView::default(), &Err(String::new()));
    let turn = agent.session.turn(&snapshot, &[]);
    let (_plan, made) = agent.session.decide(turn, &snapshot, &agent.policies);
    let plan = Plan { steps: vec![step.clone()], ..Plan::default() };
    agent.session.done(made, &Decision { plan, outcomes: vec![outcome] }, snapshot.at);
}

#[tokio::test]
async fn a_round_of_a_policy_is_booked_by_the_tick_after_its_end() {
    let fake = FakeRoot::host();
    let id = CgroupId(fake.cgroup("a"));
    fake.write("etc/swaptier/policies.d/own.toml", POLICY);
    let mut agent = agent_on(&fake).await;
    let (older_than, pages) = (Seconds(5), Pages(40));
    let step = Step {
        action: Action::Writeback { cgroup: id, older_than, pages },
        by: Asker::Policy("own.toml".to_owned()),
        reason: Reason::Cold { cold: pages, oldest: Seconds(9), older_than, bound: Bound::AllCold },
    };
    let order = Order {
        cgroup: id,
        path: "a".into(),
        older_than,
        pages,
        spared: Vec::new(),
        by: Asker::Policy("own.toml".to_owned()),
        dry_run: false,
    };
    let queued = agent.order_round(&step, order.clone());
    assert_eq!(queued, Outcome::Queued { path: "a".into(), asked: pages });
    is_decided(&mut agent, &step, queued);
    agent.begin_round();
    // Without a map it is not begun; what came of it waits for the tick.
    assert!(
        matches!(&agent.ended[..], [ended] if ended.outcome.is_trouble())
            && agent.session.history().is_under_way(id)
    );
    tick(&mut agent).await;
    assert!(agent.ended.is_empty() && !agent.session.history().is_under_way(id));
    // One that waits when the policies are read anew is decided again: it spent nothing.
    agent.order_round(&step, order);
    agent.reload(false);
    assert!(matches!(&agent.ended[..], [ended] if matches!(ended.outcome, Outcome::CalledOff { .. })));
    assert!(!agent.rounds.is_due());
}

#[tokio::test]
async fn a_second_agent_is_refused_whatever_its_state_folder() {
    let fake = FakeRoot::host();
    let agent = agent_on(&fake).await;
    fake.write("etc/swaptier/swaptier.toml", "[agent]\nstate_dir = \"/var/lib/other\"\n");
    let options = Options { no_bpf: true, ..Options::default() };
    let Err(second) = Agent::start(fake.root().clone(), options).await else { panic!("two agents") };
    assert_eq!(second.exit, crate::exit::Exit::Busy, "{:#}", second.error);
    assert!(!fake.path("var/lib/other").exists(), "it touched something");
    drop(agent);
    assert!(SocketLock::take(fake.root()).is_ok());
    assert!(Undo::open(fake.root(), &fake.path("var/lib/swaptier")).is_ok());
}
