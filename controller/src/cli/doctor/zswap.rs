//! What zswap has of the settings in `[zswap]`, each with the mend where it has another. Only looks.

use crate::{
    act::zswap_params::{COMPRESSOR, Untaken, untaken},
    cli::{
        compressor::{Compressor, missing},
        settings,
    },
    config::Config,
    journal::Undo,
    probe::{About, Finding, Level},
    root::Root,
    sense::{self, zswap::PARAMETERS},
};

/// One finding for each setting that zswap does not have. Without an agent (`Some(false)`) nobody has set any yet.
pub(super) fn findings(root: &Root, config: &Config, is_running: Option<bool>) -> Vec<Finding> {
    // Without zswap that is told, and covers this.
    if !root.exists(PARAMETERS) {
        return Vec::new();
    }
    // What is unknown there is told with the log.
    let pending = Undo::peek(root, &settings::state_dir(root, config)).unwrap_or_default();
    let untaken = untaken(&config.zswap, &sense::read_parameters(root));
    let untaken = untaken.iter().filter(|setting| !setting.is_for_now(&pending));
    untaken.map(|setting| finding(root, setting, is_running)).collect()
}

fn finding(root: &Root, setting: &Untaken, is_running: Option<bool>) -> Finding {
    let of = |level, says: String| Finding::new(About::Settings, level, says);
    let lacks = Some(&setting.asked).filter(|_| setting.name == COMPRESSOR);
    let restart = "`systemctl restart swaptier`: settings are written when the agent starts";
    let Untaken { name, asked, found } = setting;
    let now = found.as_deref().unwrap_or("not known");
    if let Some((why, fix)) = lacks.and_then(|name| missing(root, name)) {
        let says = match is_running {
            Some(false) => format!("{name} is {now}, and an agent cannot make it {asked}: {why}"),
            _ => format!("{setting}; {why}"),
        };
        return of(Level::Lost, says).fix(fix);
    }
    if setting.found.is_none() {
        let fix = format!("take {} out of [zswap], or run a kernel that has it", setting.name);
        return of(Level::Lost, setting.to_string()).fix(fix);
    }
    let is_module = lacks.is_some_and(|name| Compressor::of(root, name) == Compressor::Module);
    match (is_running, is_module) {
        (Some(false), _) => {
            of(Level::Ok, format!("{name} is {now}, and an agent that starts makes it {asked}"))
        }
        (_, true) => of(Level::Lost, setting.to_string())
            .fix(format!("`modprobe crypto-{}`, then {restart}", setting.asked)),
        (_, false) => of(Level::Lost, setting.to_string()).fix(restart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::FakeRoot, journal::Change};

    const LIMIT: &str = "sys/module/zswap/parameters/max_pool_percent";

    fn told(fake: &FakeRoot, is_running: bool) -> Vec<(Level, String, String)> {
        let config = settings::config(fake.root()).unwrap_or_else(|failure| panic!("{}", failure.text()));
        let told = match is_running {
            true => findings(fake.root(), &config, Some(true)),
            // As the command has it, where nobody listens.
            false => super::super::own::findings(fake.root(), &[]),
        };
        let told = told.into_iter().filter(|finding| finding.about == About::Settings);
        told.map(|finding| (finding.level, finding.says, finding.fix.unwrap_or_default())).collect()
    }

    #[test]
    fn a_compressor_that_did_not_take_is_told_with_both_values_and_the_mend() {
        let fake = FakeRoot::host();
        fake.write("proc/sys/kernel/osrelease", "6.12.1\n");
        fake.write("proc/crypto", "name         : lz4\n");
        fake.write("etc/swaptier/swaptier.toml", "[zswap]\ncompressor = \"zstd\"\nmax_pool_percent = 20\n");
        let asked =
            "swaptier.toml asks for compressor = zstd, and /sys/module/zswap/parameters/compressor says lz4";
        // Whether one runs or not: none could set it.
        let foreseen = "compressor is lz4, and an agent cannot make it zstd: ";
        for (is_running, begin) in [(true, asked), (false, foreseen)] {
            let [(level, says, fix)] = &told(&fake, is_running)[..] else { panic!() };
            assert_eq!(*level, Level::Lost);
            assert!(says.contains(begin) && says.contains("no compressor zstd"), "{says}");
            assert!(fix.contains("`modprobe crypto-zstd`") && fix.ends_with("has: lz4"), "{fix}");
        }
        fake.write("lib/modules/6.12.1/modules.dep", "kernel/crypto/zstd.ko.xz:\n");
        let [(level, says, fix)] = &told(&fake, true)[..] else { panic!() };
        assert!(*level == Level::Lost && says.contains(asked), "{says}");
        assert!(fix.starts_with("`modprobe crypto-zstd`, then `systemctl restart swaptier`"), "{fix}");
        let [(level, says, _)] = &told(&fake, false)[..] else { panic!() };
        assert_eq!(
            (*level, says.as_str()),
            (Level::Ok, "compressor is lz4, and an agent that starts makes it zstd")
        );
        fake.write("sys/module/zswap/parameters/compressor", "zstd\n");
        assert_eq!(told(&fake, true), []);
    }

    #[test]
    fn a_parameter_that_the_kernel_lacks_or_somebody_changed_is_told() {
        let fake = FakeRoot::host();
        fake.write(
            "etc/swaptier/swaptier.toml",
            "[zswap]\nmax_pool_percent = 30\nshrinker_enabled = false\n",
        );
        fake.remove("sys/module/zswap/parameters/shrinker_enabled");
        let all = told(&fake, true);
        let [(_, limit, restart), (_, shrinker, without)] = &all[..] else { panic!("{all:?}") };
        assert!(
            limit.contains("max_pool_percent = 30") && limit.ends_with("max_pool_percent says 20"),
            "{limit}"
        );
        assert!(restart.starts_with("`systemctl restart swaptier`"), "{restart}");
        assert!(
            shrinker.contains("shrinker_enabled is not there")
                && without.contains("take shrinker_enabled out")
        );
        // A round has it at 0 for a moment, and puts it back.
        fake.remove("etc/swaptier/swaptier.toml");
        fake.write("etc/swaptier/swaptier.toml", "[zswap]\nmax_pool_percent = 20\n");
        fake.write(LIMIT, "0\n");
        assert_eq!(told(&fake, true).len(), 1);
        let mut undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        undo.note(&[Change::round(LIMIT, None, "20", "0", "a round")]).unwrap();
        assert_eq!(told(&fake, true), []);
    }
}
