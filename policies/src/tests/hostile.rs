//! Texts made to hurt: each is refused in bounded time and memory, with faults that a person can read.
//!
//! The sizes are those of the largest file that the controller reads (1 MiB). What a fuzzer finds is kept in
//! `tests/corpus/policy` and tried by the controller's tests.

use super::*;
use crate::Fault;

/// The largest policy file there is.
const LARGEST: usize = 1 << 20;

/// As many of `piece` as fit into the largest file.
fn many(piece: &str) -> String {
    piece.repeat((LARGEST - 100) / piece.len())
}

fn globs(inside: &str) -> String {
    format!("schema = 1\n[match]\ncgroup = [{inside}]\n")
}

fn faults(text: &str) -> Vec<Fault> {
    assert!(text.len() <= LARGEST);
    let faults = PolicySet::load(&[file("f.toml", text)]).unwrap_err();
    for fault in &faults {
        // 240 and what tells that it was cut, in each of the two.
        assert!(fault.to_string().len() < 600, "{fault}");
    }
    faults
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    for text in [
        format!("a = {}", many("[")),
        format!("a = {}", many("{a=")),
        format!("a{} = 1", many(".a")),
        format!("[a{}]", many(".a")),
        globs(&format!("\"{}\"", many("{"))),
        globs(&format!("\"{}{}\"", "{".repeat(500), "}".repeat(500))),
        globs(&format!("\"{}\"", "{[}]".repeat(250))),
    ] {
        faults(&text);
    }
}

#[test]
fn a_glob_that_would_be_a_huge_automaton_is_refused() {
    for piece in ["[!a]", "*a", "{a,[!b]}", "?", "a"] {
        assert_eq!(faults(&globs(&format!("\"{}\"", many(piece)))).len(), 1, "{piece}");
    }
}

#[test]
fn the_longest_globs_are_compiled() {
    // 1,024 bytes: 256 × `[!a]`, 512 × `*a`, 32 choices.
    for glob in ["[!a]".repeat(256), "*a".repeat(512), "{a,?}".repeat(32)] {
        let set = PolicySet::load(&[file("f.toml", &globs(&format!("\"{glob}\"")))]).unwrap();
        assert!(set.resolve(&"b".repeat(4096)).is_none(), "{glob}");
    }
}

#[test]
fn so_many_globs_that_they_would_fill_the_memory_are_refused() {
    let text = globs(&many("\"a*\","));
    assert!(faults(&text)[0].message.ends_with("patterns, the most is 256"), "{}", faults(&text)[0]);
}

#[test]
fn mistakes_without_end_are_counted_and_not_listed() {
    let keys: String = (0..100_000).map(|n| format!("k{n}=1\n")).collect();
    // 100,000 unknown keys, `schema` and `[match]` missing: 100 are told.
    let found = faults(&keys);
    assert_eq!((found.len(), found[100].message.as_str()), (101, "99902 more faults are not listed"));
    assert_eq!(faults(&globs(&many("1,"))).len(), 101);
    assert!(faults(&many("a\n")).len() < 100);
}

#[test]
fn a_cgroups_name_cannot_write_on_the_terminal() {
    let set = policy("[tiers]\nuse = []");
    let snap = host().with(5, fresh("a\u{1b}[2J\r"));
    let shown = plan(&snap, &set).describe(&snap);
    assert!(shown.starts_with(r"a\x1b[2J\x0d: memory.swap.max = 0 B"), "{shown}");
}
