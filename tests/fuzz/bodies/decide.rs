//! Some policies and a few ticks of a host, all of it made of the input's bytes: the laws of the decision.
//!
//! The target `policy` finds texts, most of which are refused; here every policy is in force.

use std::cell::RefCell;
use std::collections::BTreeMap;

use swaptier_policies::{Pages, PolicySet, Session, SourceFile};

use super::dice::Dice;
use super::policy::{check_laws, check_plan, wrote};

const GLOBS: [&str; 6] = [
    "\"**\"",
    "\"a/**\"",
    "\"a/b\"",
    "\"**\", \"!a/b\"",
    "\"*\", \"demo.slice/{cold,hot}\"",
    "\"batch.slice/*\"",
];

const TIERS: [&str; 7] = [
    "[tiers]\nuse = [\"zswap\", \"disk\"]",
    "[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"keep\"\nzswap_max = 1000000",
    "[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"0.1%\"\nswap_max = \"33%\"",
    "[tiers]\nuse = [\"disk\"]\nswap_max = \"1G\"",
    "[tiers]\nuse = [\"zswap\"]\nzswap_max = \"25%\"",
    "[tiers]\nuse = []",
    "",
];

const DEMOTE: [&str; 5] = [
    "[demote]\nolder_than = \"5s\"",
    "[demote]\nolder_than = \"5s\"\nbudget = { round = \"1M\", day = \"2M\" }",
    "[demote]\nolder_than = \"10m\"\nkeep_free = \"10%\"\nbudget = { round = \"300K\", rate = \"100K/s\" }",
    "[demote]\nolder_than = \"1h\"\nbudget = { round = \"1K\", day = \"1P\", rate = \"1K/min\" }",
    "",
];

/// One file. A demotion without both tiers would be refused.
fn source(dice: &mut Dice<'_>, number: u8) -> SourceFile {
    let (globs, tiers, demote) = (dice.pick(&GLOBS), dice.pick(&TIERS), dice.pick(&DEMOTE));
    let demote = if tiers.contains("\"zswap\", \"disk\"") { demote } else { "" };
    let priority = dice.pick(&[0, 1, -1]);
    let text = format!("schema = 1\n[match]\ncgroup = [{globs}]\npriority = {priority}\n{tiers}\n{demote}\n");
    SourceFile::text(format!("{number}.toml"), text)
}

thread_local! {
    /// Compiling the globs takes longer than everything else: what was put together once is kept, within reason.
    static SETS: RefCell<BTreeMap<String, PolicySet>> = const { RefCell::new(BTreeMap::new()) };
}

/// One to three policies.
fn policies(dice: &mut Dice<'_>) -> PolicySet {
    let sources: Vec<SourceFile> = (0..dice.pick(&[1, 2, 3])).map(|number| source(dice, number)).collect();
    let key: String = sources.iter().map(|source| source.text.as_str()).collect();
    SETS.with_borrow_mut(|sets| {
        if sets.len() > 1000 {
            sets.clear();
        }
        let load = || PolicySet::load(&sources).expect("what is put together here loads");
        sets.entry(key).or_insert_with(load).clone()
    })
}

/// Decides tick after tick with one memory, each round written in part; and, for each tick alone, by the laws.
pub fn try_one(input: &[u8]) {
    let dice = &mut Dice(input);
    let set = policies(dice);
    let mut session = Session::default();
    for _tick in 0..dice.pick(&[1, 2, 3, 4]) {
        let snap = dice.snapshot();
        check_laws(&set, &snap);
        let turn = session.turn(&snap, &[]);
        let (plan, made) = session.decide(turn, &snap, &set);
        check_plan(&plan, &snap);
        assert_eq!(swaptier_policies::violations(&plan, &snap, &set), [], "{}", plan.describe(&snap));
        let decision = wrote(plan, |pages| Pages(pages.0 / dice.pick(&[1, 2, u64::MAX])));
        session.done(made, &decision, snap.at);
        assert!(session.history().len() <= snap.cgroups.len());
    }
}
