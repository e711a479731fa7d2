//! `docs/policy.md` names every key, and its examples load.

use super::*;
use crate::file::grammar::SECTIONS;

const DOCUMENT: &str = include_str!("../../../docs/policy.md");

#[test]
fn every_key_is_documented() {
    for section in SECTIONS {
        for key in section.keys {
            let named = [format!("`{key}`"), format!("`[{key}]`"), format!("match.{key}`")];
            assert!(named.iter().any(|word| DOCUMENT.contains(word)), "`{key}` of [{}]", section.name);
        }
    }
}

#[test]
fn its_examples_load() {
    let blocks: Vec<&str> =
        DOCUMENT.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let loaded = PolicySet::load(&[file("docs/policy.md", block)]);
        assert!(loaded.is_ok(), "{:?}", loaded.err());
    }
}
