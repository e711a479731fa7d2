//! Scenarios: each file of `controller/tests/scenarios/` is a test. A little host in a folder, the real agent on it, tick by
//! tick and without probes; what others do to the host; and under each line what it shows.
//!
//! `story` is the text, `verb` what a line says, `stage` the host, `play` what is done and shown. `hang` makes a write
//! that does not return. A fake root shows what swaptier reads, decides, writes and says, and never what a kernel makes of
//! it: that is the guest tests' part.
//!
//! Properties: whatever a scenario shows, at its end no agent is left, every file but swaptier's own is as it would be
//! without swaptier, and what the agent recorded is decided again to the same.
//!
//! After a change that is meant: `BLESS=1 cargo test -p swaptier scenario`, read the difference, commit both.
//! `SCENARIO=NAME` plays those alone whose name contains it.

mod hang;
mod play;
mod stage;
mod story;
mod verb;

use std::{fs, path::Path};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use play::play;
use story::{Story, differences};

/// Plays a story on a thread for which rights of files hold, whoever runs the tests.
fn played(mut story: Story) -> Result<(Story, Vec<String>), String> {
    let thread = std::thread::spawn(move || {
        let mut rights = capabilities(None).unwrap();
        rights.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, rights).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let faults = runtime.block_on(play(&mut story))?;
        Ok((story, faults))
    });
    thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// Plays a file; what is wrong with it, if anything is.
fn check(path: &Path, is_blessed: bool) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    let played = Story::parse(&text).and_then(|story| Ok((story.clone(), played(story)?)));
    let (expected, (found, faults)) = match played {
        Ok(played) => played,
        Err(why) => return Some(format!("{name}: {why}\n")),
    };
    let mut wrong: String = faults.iter().map(|fault| format!("  at the end: {fault}\n")).collect();
    if is_blessed {
        fs::write(path, found.to_string()).unwrap();
    } else {
        wrong.push_str(&differences(&expected, &found));
    }
    (!wrong.is_empty()).then(|| format!("{name}:\n{wrong}"))
}

#[test]
fn every_scenario_shows_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "txt"));
    paths.retain(|path| path.file_stem().unwrap().to_string_lossy().contains(&only));
    paths.sort();
    assert!(!paths.is_empty(), "there is no scenario {only:?}");
    let is_blessed = std::env::var_os("BLESS").is_some();
    let wrong: String = paths.iter().filter_map(|path| check(path, is_blessed)).collect();
    assert!(wrong.is_empty(), "\n{wrong}(- is what the file says, + what was shown)");
}

/// What a story that is told here leaves that must not be.
fn faults(text: &str) -> Vec<String> {
    played(Story::parse(text).unwrap()).unwrap().1
}

const VALVE: &str = "# A closed valve.\nmkdir /sys/fs/cgroup/a\nwrite /etc/swaptier/policies.d/a.toml\n    schema = 1\n    \
                     [match]\n    cgroup = [\"a\"]\n    [tiers]\n    use = [\"zswap\"]\nstart\n";

#[test]
fn what_is_not_given_back_is_a_fault_whatever_a_scenario_shows() {
    assert_eq!(faults(&format!("{VALVE}stop\n")), Vec::<String>::new());
    let valve = "it is not given back: /sys/fs/cgroup/a/memory.zswap.writeback: 1 -> 0";
    assert_eq!(faults(&format!("{VALVE}kill\n")), [valve]);
    let leaves = "leaves /sys/fs/cgroup/a/memory.zswap.writeback\n";
    assert_eq!(faults(&format!("{VALVE}kill\n{leaves}")), Vec::<String>::new());
    assert_eq!(faults(&format!("{VALVE}stop\n{leaves}")).len(), 1, "what is said to be left and is not");
    assert!(faults(VALVE).iter().any(|fault| fault.contains("an agent is still there")));
}
