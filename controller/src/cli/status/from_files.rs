//! A status without an agent: reads the files of which `serve/without_agent` makes it.

use swaptier_policies::PolicySet;

use crate::{
    cli::settings,
    exit::{Exit, Failure},
    root::Root,
    serve::{
        absence::Absence,
        status::Status,
        without_agent::{Rows, of},
    },
    vswap::seen::unnoted,
};

/// Reads the host.
///
/// # Errors
/// The host has no cgroup v2, or a file cannot be read. Policies that are wrong are no error here; then it is said that
/// nobody's policy is known.
pub(super) fn status(root: &Root, rows: Rows, absence: Absence) -> Result<Status, Failure> {
    // The notes of areas are root's alone to read; without them an area is what the kernel says of it.
    let config = settings::config(root).ok();
    let sensed = settings::sensed(root)?;
    let (areas, unread) = match config.map(|config| settings::areas(root, &config, &sensed.swaps)) {
        Some(Ok(areas)) => (areas, None),
        Some(Err(failure)) if failure.exit != Exit::NotPermitted => {
            (unnoted(root, &sensed.swaps), Some(failure.text()))
        }
        _ => (unnoted(root, &sensed.swaps), None),
    };
    let (policies, faults) = policies(root);
    let unseen = areas.unseen.iter().cloned();
    let lost = std::iter::once(absence.costs()).chain(faults).chain(unread).chain(unseen).collect();
    Ok(of((&sensed, &areas.views), None, &policies, (absence, lost), rows))
}

/// The policies in force, and why none is known where that is so.
pub(in crate::cli) fn policies(root: &Root) -> (PolicySet, Vec<String>) {
    let mut lost = Vec::new();
    let policies = settings::config(root).and_then(|config| settings::policies(root, &config));
    let policies = policies.unwrap_or_else(|failure| {
        lost.push(format!("no policy is known: {}", failure.text()));
        PolicySet::default()
    });
    (policies, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::MapState;
    use crate::{
        cli::output::Paint,
        fake::FakeRoot,
        serve::{board::Page, metrics, status::CgroupStatus},
    };
    use swaptier_policies::{Bytes, Knob, Limit, Settings};

    #[test]
    fn files_alone_say_what_is_in_zswap_and_not_how_old_it_is() {
        let fake = FakeRoot::host();
        let parent = fake.cgroup("batch.slice");
        let id = fake.cgroup("batch.slice/a");
        fake.write("sys/fs/cgroup/batch.slice/a/memory.swap.max", "8192\n");
        let policy = "schema = 1\n[match]\ncgroup = [\"batch.slice/**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
            [demote]\nolder_than = \"10m\"\n";
        fake.write("etc/swaptier/policies.d/batch.toml", policy);
        let status = status(fake.root(), Rows::Concerned, Absence::NotRunning).unwrap();
        assert_eq!((status.schema, status.agent.running, status.map.state), (1, false, MapState::Absent));
        let row = status.cgroups.iter().find(|row| row.path == "batch.slice/a").unwrap();
        // 8,192 bytes zswapped are 2 pages of 4 KiB.
        let pages = 8192 / rustix::param::page_size() as u64;
        let expected = CgroupStatus {
            path: "batch.slice/a".into(),
            id,
            parent: Some(parent),
            populated: Some(true),
            swap_current_bytes: Some(16_384),
            policy: Some("batch.toml".into()),
            zswap_pages: Some(pages),
            zswap_compressed_bytes: Some(2048),
            older_than_seconds: Some(600),
            memory_current_bytes: Some(1_048_576),
            settings: Settings::fresh().with(Knob::SwapMax, Limit::Bytes(Bytes(8192))),
            ..CgroupStatus::default()
        };
        assert_eq!(*row, expected);
        // 1,014,512 kB of RAM; 20 % of it.
        assert_eq!(status.host.pool_limit_bytes, Some(1_014_512 * 1024 / 5));
    }

    #[test]
    fn a_list_of_areas_that_cannot_be_used_is_told() {
        let fake = FakeRoot::host();
        fake.write("var/lib/swaptier/areas.json", "{");
        let lost = status(fake.root(), Rows::Concerned, Absence::NotRunning).unwrap().agent.lost.join("\n");
        assert!(lost.contains("areas.json cannot be used, and is left as it is"), "{lost}");
    }

    #[test]
    fn policies_that_are_wrong_do_not_hide_the_host() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.write("etc/swaptier/policies.d/bad.toml", "schema = 9\n");
        let status = status(fake.root(), Rows::Concerned, Absence::NotRunning).unwrap();
        assert_eq!(status.cgroups.iter().filter(|row| row.path == "a").count(), 1);
        assert!(status.agent.lost[1].starts_with("no policy is known: "), "{:?}", status.agent.lost);
        assert!(status.agent.lost[1].contains("bad.toml:1:"), "{:?}", status.agent.lost);
    }

    #[test]
    fn a_cgroup_without_policy_and_without_swap_is_not_shown() {
        let fake = FakeRoot::host();
        fake.cgroup("quiet");
        fake.write("sys/fs/cgroup/quiet/memory.swap.current", "0\n");
        fake.write("sys/fs/cgroup/quiet/memory.stat", "anon 1\nzswap 0\nzswapped 0\n");
        let rows = |rows| status(fake.root(), rows, Absence::NotRunning).unwrap().cgroups;
        assert!(rows(Rows::Concerned).iter().all(|row| row.path != "quiet"));
        assert!(rows(Rows::All).iter().any(|row| row.path == "quiet"), "unless all are asked for");
    }

    #[test]
    fn a_name_that_would_write_on_the_terminal_is_shown_escaped_everywhere() {
        let fake = FakeRoot::host();
        let names = [&b"\x1b]0;owned\x07"[..], b"caf\xe9.scope", "turned\u{202e}".as_bytes(), b"\x7f"];
        for name in names {
            fake.cgroup(name);
        }
        let status = status(fake.root(), Rows::All, Absence::NotRunning).unwrap();
        let is_shown = |text: &str| text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'));
        let json = serde_json::to_string(&status).unwrap();
        let text = crate::cli::status::text::render(&status, 4096, Paint::NONE);
        let page = std::sync::Arc::new(Page::new(status, Default::default()));
        let metrics = metrics::render(&page, metrics::Shape { cgroups: 100 });
        for shown in [json, text, metrics] {
            assert!(is_shown(&shown), "{shown:?}");
            assert!(shown.contains("xe9.scope") && shown.contains("x1b]0;owned"), "{shown}");
        }
    }
}
