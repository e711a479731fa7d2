//! Which policy a cgroup gets, and why not another.

use super::{policies, policy};
use crate::pattern::{Pattern, Subject};

fn matches(pattern: &str, path: &str) -> bool {
    Pattern::new(pattern).unwrap().matches(&Subject::new(path.as_bytes()))
}

fn contenders(set: &crate::PolicySet, path: &str) -> Vec<String> {
    set.contenders(path).iter().map(|(policy, standing)| format!("{} {standing}", policy.name())).collect()
}

#[test]
fn stars_stay_within_a_component_and_double_stars_do_not() {
    assert!(matches("batch.slice/*", "batch.slice/a"));
    assert!(!matches("batch.slice/*", "batch.slice/a/b"));
    assert!(matches("batch.slice/**", "batch.slice/a/b"));
    assert!(!matches("batch.slice/**", "batch.slice"));
    assert!(matches("**/payload", "a/b/payload"));
    assert!(!matches("a?c", "a/c"));
    assert!(matches("{a,b}.slice", "b.slice"));
    assert!(matches("{a/b,c}/d", "a/b/d"));
    assert!(!matches("batch", "batch.slice"));
}

#[test]
fn a_backslash_is_itself_as_systemd_writes_it() {
    assert!(matches(r"system-a\x2db.slice/*", r"system-a\x2db.slice/x"));
}

#[test]
fn the_root_has_no_policy() {
    let set = policy("");
    assert!(set.resolve("").is_none());
    assert!(set.contenders("").is_empty());
    assert!(set.resolve("a").is_some());
}

#[test]
fn excludes_win_wherever_they_stand() {
    let set = policies(&[("p.toml", "[match]\ncgroup = [\"!a/x*\", \"a/**\"]")]);
    assert!(set.resolve("a/b").is_some());
    assert!(set.resolve("a/xy").is_none());
    // `*` does not cross `/`: the exclude is for one level only.
    assert!(set.resolve("a/xy/z").is_some());
    assert_eq!(contenders(&set, "a/xy"), ["p.toml does not apply: excluded by \"!a/x*\""]);
}

#[test]
fn priority_then_prefix_then_name() {
    let set = policies(&[
        ("z-high.toml", "[match]\npriority = 9\ncgroup = [\"**\"]"),
        ("b-long.toml", "[match]\ncgroup = [\"a/b/*\"]"),
        ("a-short.toml", "[match]\ncgroup = [\"a/**\"]"),
        ("c-long.toml", "[match]\ncgroup = [\"a/b/{c,d}\"]"),
        ("d-out.toml", "[match]\npriority = 99\ncgroup = [\"**\", \"!a/**\"]"),
        ("e-elsewhere.toml", "[match]\npriority = 99\ncgroup = [\"x/**\"]"),
    ]);
    assert_eq!(set.resolve("a/b/c").unwrap().name(), "z-high.toml");
    assert_eq!(
        contenders(&set, "a/b/c"),
        [
            "z-high.toml wins by \"**\"",
            "b-long.toml loses: priority 0, the winner has 9",
            "c-long.toml loses: priority 0, the winner has 9",
            "a-short.toml loses: priority 0, the winner has 9",
            "d-out.toml does not apply: excluded by \"!a/**\"",
        ]
    );
}

#[test]
fn among_equal_priorities_the_longer_literal_prefix_then_the_first_name_wins() {
    // Literal prefixes: "a/b/" 4 bytes, "a/" 2 bytes.
    let set = policies(&[
        ("c-long.toml", "[match]\ncgroup = [\"a/b/{c,d}\"]"),
        ("a-short.toml", "[match]\ncgroup = [\"a/**\"]"),
        ("b-long.toml", "[match]\ncgroup = [\"**\", \"a/b/*\"]"),
    ]);
    assert_eq!(
        contenders(&set, "a/b/c"),
        [
            "b-long.toml wins by \"a/b/*\"",
            "c-long.toml loses: its file name sorts behind b-long.toml",
            "a-short.toml loses: \"a/**\" has a shorter literal prefix than the winner's \"a/b/*\"",
        ]
    );
}

#[test]
fn an_exact_path_is_longer_than_the_same_text_with_a_wildcard() {
    let set = policies(&[
        ("a-glob.toml", "[match]\ncgroup = [\"a/b*\"]"),
        ("z-exact.toml", "[match]\ncgroup = [\"a/b\"]"),
    ]);
    assert_eq!(set.resolve("a/b").unwrap().name(), "z-exact.toml");
    assert_eq!(set.resolve("a/bc").unwrap().name(), "a-glob.toml");
}

#[test]
fn a_name_that_is_not_text_is_matched_by_its_bytes_and_by_what_people_read() {
    let matches = |pattern: &str, path: &[u8]| Pattern::new(pattern).unwrap().matches(&Subject::new(path));
    for pattern in ["caf*.scope", "caf?.scope", r"caf\xe9.scope", "**"] {
        assert!(matches(pattern, b"caf\xe9.scope"), "{pattern}");
    }
    assert!(!matches("cafe.scope", b"caf\xe9.scope") && !matches(r"caf\xe8.scope", b"caf\xe9.scope"));
    assert!(matches(r"dev-disk\x2d1", br"dev-disk\x2d1"), "systemd's own escapes are as they are");
    assert!(
        matches(r"caf\x5cxe9", br"caf\xe9") && !matches(r"caf\x5cxe9", b"caf\xe9"),
        "a backslash in the name"
    );
}
