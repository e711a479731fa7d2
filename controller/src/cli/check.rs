//! `swaptier check`: reads policy files, or those in force, and prints every mistake of all of them. Changes nothing.
//!
//! What is a mistake is decided by `swaptier_policies` and `config/`.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use swaptier_policies::{Fault, PolicySet, SourceFile, fate, layer};

use super::{
    exit::{Exit, Result},
    output::{Paint, Tone, plain, say, say_json},
    settings,
};
use crate::{
    config::{self, Config, ConfigError, Trust},
    root::Root,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy files, a swaptier.toml, or folders of them; none: what is in force
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also counts policies that cannot work with this host's swap areas as faults
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
        match config::policy_files(root, trust, &config.agent.policy_dirs) {
            Ok(files) => self.policies(&files),
            Err(errors) => errors.into_iter().for_each(|error| self.refused(error)),
        }
    }

    /// Checks what the swap areas that are on, or are to be, make of the policies.
    fn on_host(&mut self, root: &Root) {
        let config = settings::config(root);
        // What is wrong with the files themselves is noted already.
        let Ok((config, policies)) = config.and_then(|c| settings::policies(root, &c).map(|p| (c, p))) else {
            return;
        };
        match settings::configured_areas(root, &config) {
            Err(failure) => self.unreadable.push(format!("{:#}", failure.error)),
            Ok(areas) => {
                let fates = policies.iter().filter_map(|policy| Some((policy, fate(policy, &areas)?)));
                for (policy, fate) in fates.filter(|(_, fate)| !fate.can_work) {
                    let message = format!("it cannot work on this host: {}", fate.says);
                    let file = policy.name().to_owned();
                    self.faults.push(Mistake { file, line: None, column: None, message, help: None });
                }
            }
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
            Ok(policies) => self.policies = policies.len(),
            Err(faults) => self.mistakes(faults),
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
    Ok(SourceFile { name: path.display().to_string(), text: fs::read_to_string(path)? })
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
