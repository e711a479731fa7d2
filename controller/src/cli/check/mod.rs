//! `swaptier check`: reads policy files, or those in force, and prints every mistake of all of them. Changes nothing.
//!
//! What is a mistake is decided by `swaptier_policies` and `config/`; what the host makes of it is in `host`.

#![expect(clippy::disallowed_methods, reason = "files that are named on the command line")]

mod host;

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use swaptier_policies::{Fault, Lift, Place, Policy, PolicySet, SourceFile, layer, lifts};

use super::{
    explain,
    output::{Paint, Tone, plain, say, say_json},
    settings,
};
use crate::{
    config::{self, Config, ConfigError, Trust},
    exit::{Exit, Result},
    root::Root,
    sense::assemble,
    serve::absence::Absence,
    vswap::seen::unnoted,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy files, a swaptier.toml, or folders of them; none: what is in force
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also counts as faults what this host would refuse: disks of areas, a compressor, policies that its swap areas do not let work
    #[arg(long, conflicts_with = "files")]
    host: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// The name by which a file is the host's settings and no policy.
const SETTINGS: &str = "swaptier.toml";

/// What was found. The JSON of `--json` is a versioned interface.
#[derive(Debug, Default, Serialize)]
struct Findings {
    schema: u32,
    /// Policies without a fault in any file; 0 when there is one.
    policies: usize,
    faults: Vec<Mistake>,
    /// Files that could not be read.
    unreadable: Vec<String>,
    /// What is no fault and worth knowing: files that a policy leaves alone, limits of others that it would raise.
    notes: Vec<String>,
}

/// One mistake in one file.
#[derive(Debug, Serialize)]
struct Mistake {
    file: String,
    /// From 1; `None`: the file as a whole.
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let mut findings = Findings { schema: 1, ..Findings::default() };
    if args.files.is_empty() {
        findings.in_force(root);
        if args.host {
            findings.on_host(root);
        }
    } else {
        findings.named(&args.files)
    }
    if args.json {
        say_json(&findings)?
    } else {
        say(&findings.render(Paint::of_stdout()))?
    }
    Ok(findings.exit())
}

impl Findings {
    /// Checks what an agent that starts now would use.
    fn in_force(&mut self, root: &Root) {
        let trust = Trust::of(root);
        let config = config::load(root, trust, None).unwrap_or_else(|error| {
            self.refused(error);
            Config::default()
        });
        self.needs(root, &config);
        match config::policy_files(root, trust, &config.agent.policy_dirs) {
            Ok(files) => {
                self.policies(&files);
                self.lifts(root, &config);
            }
            Err(errors) => errors.into_iter().for_each(|error| self.refused(error)),
        }
    }

    /// Checks these files, wherever and whoever's they are.
    fn named(&mut self, paths: &[PathBuf]) {
        let mut files = Vec::new();
        for path in paths {
            match sources(path) {
                Ok(found) => files.extend(found),
                Err(error) => self.unreadable.push(format!("{}: {error}", path.display())),
            }
        }
        let (settings, policies): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.file_name() == SETTINGS);
        for file in &settings {
            if let Err(faults) = Config::parse(file) {
                self.mistakes(faults);
            }
        }
        self.policies(&policies);
    }

    fn policies(&mut self, files: &[SourceFile]) {
        match PolicySet::load(files) {
            Ok(policies) => {
                self.policies = policies.len();
                self.notes.extend(policies.iter().filter_map(left_alone));
            }
            Err(faults) => self.mistakes(faults),
        }
    }

    /// Says where the policies in force, or about to be, would raise what somebody else set.
    fn lifts(&mut self, root: &Root, config: &Config) {
        let (Ok(policies), Ok(sensed)) = (settings::policies(root, config), settings::sensed(root)) else {
            return;
        };
        let areas = settings::areas(root, config, &sensed.swaps).map(|areas| areas.views);
        let areas = areas.unwrap_or_else(|_| unnoted(root, &sensed.swaps).views);
        let snapshot = assemble(sensed, explain::beside(Absence::NotRunning, areas));
        for Lift { cgroup, policy, knob, from, to } in lifts(&snapshot, &policies) {
            let path = snapshot.cgroups.get(&cgroup).map(|view| view.path.clone()).unwrap_or_default();
            let file = knob.file();
            self.notes
                .push(format!("{policy}: raises {file} of {path} from {from} to {to}, whoever set that"));
        }
    }

    fn mistakes(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults.into_iter().map(|fault| {
            let Fault { file, line, column, message, help } = fault;
            Mistake { file, line: Some(line), column: Some(column), message, help }
        }));
    }

    fn refused(&mut self, error: ConfigError) {
        match error {
            ConfigError::Invalid(faults) => self.mistakes(faults),
            ConfigError::Read(error) => self.unreadable.push(error.to_string()),
            ConfigError::Untrusted { path, why } => {
                let (file, message) = (path.display().to_string(), format!("it would be refused: {why}"));
                self.faults.push(Mistake { file, line: None, column: None, message, help: None });
            }
        }
    }

    fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        for Mistake { file, line, column, message, help } in &self.faults {
            let mut place = plain(file);
            for number in [line, column].into_iter().flatten() {
                let _ = write!(place, ":{number}");
            }
            let _ = writeln!(text, "{}: {}", paint.tone(Tone::Strong, &place), plain(message));
            if let Some(help) = help {
                let _ = writeln!(text, "  help: {}", plain(help));
            }
        }
        for unreadable in &self.unreadable {
            let _ = writeln!(text, "{}: {}", paint.tone(Tone::Bad, "cannot be read"), plain(unreadable));
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {}", plain(note));
        }
        match (self.faults.len(), self.unreadable.is_empty()) {
            (0, true) => {
                let _ = writeln!(text, "{}, no faults", counted(self.policies, "policy", "policies"));
            }
            (0, false) => {}
            (faults, _) => {
                let _ = writeln!(text, "{}", counted(faults, "fault", "faults"));
            }
        }
        text
    }

    fn exit(&self) -> Exit {
        match (self.unreadable.is_empty(), self.faults.is_empty()) {
            (false, _) => Exit::Failed,
            (true, false) => Exit::Invalid,
            (true, true) => Exit::Done,
        }
    }
}

/// The files that a policy says nothing of although their tier is in use. They keep what they say, where the first versions
/// of this format set them to `max` and 1.
fn left_alone(policy: &Policy) -> Option<String> {
    let left: Vec<String> =
        policy.tiers()?.left_alone().map(|(knob, key)| format!("{} (no `{key}`)", knob.file())).collect();
    (!left.is_empty()).then(|| format!("{}: leaves alone {}", policy.name(), left.join(", ")))
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The file, or the `*.toml` files of the folder; there an empty file or a link to `/dev/null` is none, as in force.
fn sources(path: &Path) -> io::Result<Vec<SourceFile>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![source(path)?]);
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".toml") && !name.starts_with('.')
    });
    let files = paths.iter().map(|path| source(path)).collect::<io::Result<Vec<_>>>()?;
    Ok(layer(&[files]))
}

fn source(path: &Path) -> io::Result<SourceFile> {
    let place = Place::File(std::path::absolute(path)?.display().to_string());
    Ok(SourceFile { name: path.display().to_string(), place, text: fs::read_to_string(path)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const GOOD: &str = "schema = 1\n[match]\ncgroup = [\"a\"]\n[tiers]\nuse = []\n";

    fn found(paths: &[PathBuf]) -> Findings {
        let mut findings = Findings::default();
        findings.named(paths);
        findings
    }

    #[test]
    fn a_folder_is_its_toml_files_without_the_masked_ones() {
        let fake = FakeRoot::empty();
        fake.write("p/a.toml", GOOD);
        fake.write("p/masked.toml", "");
        fake.write("p/notes.txt", "no policy");
        fake.write("p/.hidden.toml", "no policy");
        let findings = found(&[fake.path("p")]);
        assert_eq!((findings.policies, findings.exit()), (1, Exit::Done));
        assert_eq!(findings.render(Paint::NONE), "1 policy, no faults\n");
    }

    #[test]
    fn every_fault_of_every_file_has_its_place() {
        let fake = FakeRoot::empty();
        fake.write("one.toml", &GOOD.replace("use", "uze"));
        fake.write("swaptier.toml", "[agent]\ntik = \"1s\"\n");
        let findings = found(&[fake.path("one.toml"), fake.path("swaptier.toml")]);
        let text = findings.render(Paint::NONE);
        assert!(text.contains("one.toml:5:1: "), "{text}");
        assert!(text.contains("swaptier.toml:2:1: unknown key `tik` in `[agent]`\n"), "{text}");
        assert!(text.contains("  help: did you mean `tick`?\n"), "{text}");
        assert_eq!(findings.exit(), Exit::Invalid);
    }

    #[test]
    fn a_file_that_cannot_be_read_weighs_more_than_a_fault() {
        let fake = FakeRoot::empty();
        fake.write("bad.toml", "schema = 7\n");
        let findings = found(&[fake.path("missing.toml"), fake.path("bad.toml")]);
        assert_eq!((findings.unreadable.len(), findings.exit()), (1, Exit::Failed));
        assert!(!findings.faults.is_empty());
    }

    #[test]
    fn an_area_without_storage_is_a_fault_whoever_made_it() {
        let fake = FakeRoot::host();
        fake.write(
            "etc/swaptier/policies.d/a.toml",
            "schema = 1\n[match]\ncgroup = [\"a\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n",
        );
        let on = |line: &str| {
            fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{line}\n"));
            let mut findings = Findings::default();
            findings.on_host(fake.root());
            (findings.faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>(), findings.unreadable)
        };
        assert_eq!(on("/dev/vda partition 1024 0 -2"), (vec![], vec![]));
        let (faults, unseen) = on("/anywhere/big ghost 1048576 0 1");
        assert!(
            faults[0].contains("no swap area that is on has storage (/anywhere/big is a ghost)"),
            "{faults:?}"
        );
        assert_eq!(unseen.len(), 0);
        let (faults, unseen) = on("/dm-3 partition 1024 0 -2");
        assert_eq!((faults.len(), unseen.len()), (1, 1), "what cannot be told counts as one, and is said");
    }

    #[test]
    fn without_files_it_is_what_is_in_force() {
        let fake = FakeRoot::empty();
        fake.write("usr/lib/swaptier/policies.d/a.toml", "nonsense");
        fake.write("etc/swaptier/policies.d/a.toml", GOOD);
        let mut findings = Findings::default();
        findings.in_force(fake.root());
        assert_eq!((findings.policies, findings.exit()), (1, Exit::Done));
        fake.write("etc/swaptier/swaptier.toml", "[agent]\ntick = \"0s\"\n");
        let mut findings = Findings::default();
        findings.in_force(fake.root());
        assert_eq!((findings.faults[0].line, findings.exit()), (Some(2), Exit::Invalid));
    }
}
