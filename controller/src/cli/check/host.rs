//! What this host makes of the settings and policies in force: what a start would be refused for, what would be left undone,
//! and policies that cannot work with the swap areas. Each in the words that are said when it happens. Changes nothing.

use swaptier_policies::fate;

use super::{Findings, Mistake, SETTINGS};
use crate::{
    agent,
    cli::{compressor, settings},
    config::{self, Config, Trust},
    root::Root,
    serve::{metrics::textfile, server},
};

impl Findings {
    /// What of the settings needs something of the host: without the group no agent starts, without the folder there is no
    /// file for the scraper.
    pub(super) fn needs(&mut self, root: &Root, config: &Config) {
        let group = config.socket.group.as_deref();
        if let Some(Err(error)) = group.map(|name| server::readers(root, name)) {
            self.of_settings(root, error.to_string(), None);
        }
        let Some(path) = &config.metrics.textfile else { return };
        let path = root.host_path(path);
        if let Some(error) = textfile::hindrance(&path) {
            let folder = path.parent().unwrap_or(&path);
            let help = format!("`[metrics] textfile` needs a folder: install -d {}", folder.display());
            self.of_settings(root, textfile::not_written(&path.display().to_string(), &error), Some(help));
        }
    }

    /// Checks what the host makes of the settings, and what the swap areas that are on, or are to be, make of the policies.
    pub(super) fn on_host(&mut self, root: &Root) {
        // What is wrong with the files themselves is noted already.
        let Ok(config) = settings::config(root) else { return };
        let asked = config.zswap.compressor.as_deref();
        if let Some((why, fix)) = asked.and_then(|name| compressor::missing(root, name)) {
            self.of_settings(root, format!("`[zswap] compressor` would not take: {why}"), Some(fix));
        }
        self.disks(root, &config);
        let Ok(policies) = settings::policies(root, &config) else { return };
        match settings::configured_areas(root, &config) {
            Err(failure) => self.unread(failure.text()),
            Ok(seen) => {
                self.unreadable.extend(seen.unseen);
                let fates = policies.iter().filter_map(|policy| Some((policy, fate(policy, &seen.views)?)));
                for (policy, fate) in fates.filter(|(_, fate)| !fate.can_work) {
                    let message = format!("it cannot work on this host: {}", fate.says);
                    let file = policy.name().to_owned();
                    self.faults.push(Mistake { file, line: None, column: None, message, help: None });
                }
            }
        }
    }

    /// The areas of the configuration that could not be made.
    fn disks(&mut self, root: &Root, config: &Config) {
        if config.areas.is_empty() {
            return;
        }
        match agent::refusals(root, config, &settings::state_dir(root, config)) {
            Err(error) => self.unread(error.to_string()),
            Ok(refused) => {
                for (what, error) in refused {
                    match error.is_permission() {
                        // Root may, and may find a fault.
                        true => self.unread(format!("{what}: {error}")),
                        false => self.of_settings(root, format!("{what}: {error}"), None),
                    }
                }
            }
        }
    }

    /// What cannot be looked at, once.
    fn unread(&mut self, what: String) {
        if !self.unreadable.contains(&what) {
            self.unreadable.push(what);
        }
    }

    fn of_settings(&mut self, root: &Root, message: String, help: Option<String>) {
        let source = config::source(root, Trust::of(root), None).ok().flatten();
        let file = source.map_or_else(|| SETTINGS.to_owned(), |source| source.name);
        self.faults.push(Mistake { file, line: None, column: None, message, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::output::Paint, exit::Exit, fake::FakeRoot};

    fn found(fake: &FakeRoot, with_host: bool) -> Findings {
        let mut findings = Findings::default();
        findings.in_force(fake.root());
        if with_host {
            findings.on_host(fake.root());
        }
        findings
    }

    #[test]
    fn a_group_or_folder_that_is_not_there_is_a_fault_in_the_words_of_the_agent() {
        let fake = FakeRoot::host();
        fake.write("etc/group", "root:x:0:\n");
        fake.write(
            "etc/swaptier/swaptier.toml",
            "[socket]\ngroup = \"nosuch-group\"\n[metrics]\ntextfile = \"/var/lib/prom/swaptier.prom\"\n",
        );
        let findings = found(&fake, false);
        let text = findings.render(Paint::NONE);
        assert!(
            text.contains("swaptier.toml: there is no group \"nosuch-group\" (`[socket] group`): `groupadd")
        );
        assert!(
            text.contains("/var/lib/prom/swaptier.prom is not written: No such file or directory"),
            "{text}"
        );
        assert!(text.contains("  help: `[metrics] textfile` needs a folder: install -d "), "{text}");
        assert_eq!((findings.faults.len(), findings.exit()), (2, Exit::Invalid));
        fake.write("etc/group", "root:x:0:\nnosuch-group:x:990:\n");
        std::fs::create_dir_all(fake.path("var/lib/prom")).unwrap();
        assert_eq!(found(&fake, false).exit(), Exit::Done);
    }

    #[test]
    fn a_list_of_areas_that_cannot_be_used_is_told_once() {
        let fake = FakeRoot::host();
        fake.write("var/lib/swaptier/areas.json", "[]");
        let area = "[[area]]\nname = \"main\"\nkind = \"ghost\"\nsize = \"64M\"\n";
        fake.write("etc/swaptier/swaptier.toml", area);
        let findings = found(&fake, true);
        assert_eq!(
            (findings.unreadable.len(), findings.exit()),
            (1, Exit::Failed),
            "{:?}",
            findings.unreadable
        );
        assert!(findings.unreadable[0].contains("areas.json cannot be used"), "{:?}", findings.unreadable);
    }

    #[test]
    fn a_disk_and_a_compressor_that_cannot_be_had_are_faults_of_the_host() {
        let fake = FakeRoot::host();
        fake.write("proc/crypto", "name         : lz4\n");
        fake.write(
            "etc/swaptier/swaptier.toml",
            "[zswap]\ncompressor = \"nosuch\"\n[[area]]\nname = \"main\"\nkind = \"plain\"\ndevices = [\"/dev/vda\"]\n",
        );
        assert_eq!(found(&fake, false).exit(), Exit::Done, "the files are right");
        let findings = found(&fake, true);
        let messages: Vec<&str> = findings.faults.iter().map(|fault| fault.message.as_str()).collect();
        let [compressor, disk] = &messages[..] else { panic!("{messages:?}") };
        assert!(compressor.contains("this kernel has no compressor nosuch"), "{compressor}");
        assert!(
            disk.starts_with("create main: /dev/vda: the kernel has this disk (254:0), and this process"),
            "{disk}"
        );
        assert_eq!(findings.exit(), Exit::Invalid);
    }
}
