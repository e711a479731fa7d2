//! A way to disk closed and opened by an agent on a fake root.

use swaptier_policies::SourceFile;

use super::*;
use crate::{agent::tests::agent_on, fake::FakeRoot};

const OWN: &str = "schema = 1\n[match]\ncgroup = [\"*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";
/// Named as `close` names its files, and an operator's.
const NAMESAKE: &str =
    "schema = 1\n[match]\ncgroup = [\"**\"]\npriority = 3\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";

fn done(answer: &Answer) -> &str {
    match answer {
        Answer::Done { message } => message,
        other => panic!("{other:?}"),
    }
}

fn refusal(answer: Answer) -> (u8, String) {
    match answer {
        Answer::Refused { exit, message } => (exit, message),
        other => panic!("{other:?}"),
    }
}

/// The files in the folder of hand-made policies.
fn in_run(fake: &FakeRoot) -> Vec<String> {
    fake.root().list(FOLDER).unwrap_or_default()
}

#[test]
fn a_file_is_written_whole_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policies.d/closed-7.toml");
    write(&file, "one").unwrap();
    write(&file, "two").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_close_wrote_is_what_open_takes_away_under_any_root() {
    let fake = FakeRoot::host();
    let id = fake.cgroup("a");
    fake.write("etc/swaptier/policies.d/own.toml", OWN);
    let mut agent = agent_on(&fake).await;
    assert_eq!(done(&agent.close(&"a".into(), false)), "the way to disk of a is closed by hand");
    assert_eq!(in_run(&fake), [format!("closed-{id}.toml")]);
    assert_eq!(closed_at_or_above(&agent.policies, &"a/b".into()), Some("a".into()));
    assert_eq!(refusal(agent.close(&"a".into(), false)).0, Exit::Nothing as u8, "closed already");
    assert_eq!(done(&agent.open(&"a".into(), false)), "the way to disk of a is opened again");
    assert!(in_run(&fake).is_empty());
    assert_eq!(closed_at_or_above(&agent.policies, &"a/b".into()), None);
}

#[tokio::test]
async fn an_operators_policy_of_such_a_name_is_nobodys_to_remove() {
    for folder in ["etc/swaptier/policies.d", "run/swaptier/policies.d", "usr/lib/swaptier/policies.d"] {
        let fake = FakeRoot::host();
        let id = fake.cgroup("a");
        let theirs = format!("{folder}/closed-{id}.toml");
        fake.write(&theirs, NAMESAKE);
        let mut agent = agent_on(&fake).await;
        let (exit, why) = refusal(agent.open(&"a".into(), false));
        assert_eq!(exit, Exit::Nothing as u8, "{why}");
        assert!(why.contains(&format!("its policy closed-{id}.toml decides")), "{why}");
        assert_eq!(refusal(agent.open(&"a".into(), true)).0, Exit::Nothing as u8);
        assert_eq!(closed_at_or_above(&agent.policies, &"a".into()), None);
        // Ours stands beside it and not in its place.
        done(&agent.close(&"a".into(), false));
        assert_eq!(fake.read(&theirs), NAMESAKE.trim());
        done(&agent.open(&"a".into(), false));
        assert_eq!(fake.read(&theirs), NAMESAKE.trim(), "{folder}");
    }
}

#[tokio::test]
async fn a_dry_run_names_the_one_file_and_keeps_it() {
    let fake = FakeRoot::host();
    let id = fake.cgroup("a");
    fake.write("etc/swaptier/policies.d/own.toml", OWN);
    let mut agent = agent_on(&fake).await;
    done(&agent.close(&"a".into(), false));
    let Answer::Would { writes } = agent.open(&"a".into(), true) else { panic!("no dry run") };
    assert_eq!(writes, [format!("{FOLDER}/closed-{id}.toml: removed")]);
    assert_eq!(in_run(&fake).len(), 1);
}

#[test]
fn a_closed_cgroup_is_known_by_the_policy_that_closes_it_even_where_another_wins() {
    let both = |priority| {
        let all =
            format!("schema = 1\n[match]\ncgroup = [\"**\"]\npriority = {priority}\n[tiers]\nuse = []\n");
        let closing = "schema = 1\nclosed_by_hand = \"a\"\n[match]\ncgroup = [\"a\"]\npriority = 9\n\
                       [tiers]\nuse = [\"zswap\"]\n";
        PolicySet::load(&[SourceFile::text("all.toml", all), SourceFile::text("any-name.toml", closing)])
            .unwrap()
    };
    assert_eq!(closed_by(&both(5), &"a".into()), Some(("any-name.toml", true)));
    assert_eq!(closed_by(&both(10), &"a".into()), Some(("any-name.toml", false)));
    assert_eq!(closed_by(&both(5), &"a/b".into()), None);
}
