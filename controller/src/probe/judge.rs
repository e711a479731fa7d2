//! What the facts mean: one finding for each thing that was looked at. Pure.
//!
//! Properties, each with a test: a capable host has no finding beyond `ok`; each feature taken away gives one that says
//! what is missing by name; only what the agent cannot do without is `missing`.

use swaptier_policies::Bytes;

use super::{Facts, Finding, HookFacts, Level};

/// What is lost with the shadow map.
const NO_MAP: &str = "without the shadow map page ages are unknown: limits are set, no policy writes back, and \
                      `swaptier writeback` without --older-than goes by the kernel's counters of the whole host";

/// Judges all of it, in the order in which an operator would look.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts), cgroups(facts)];
    if facts.cgroups.is_ok() {
        findings.push(valve(facts));
    }
    findings.extend(zswap(facts));
    findings.extend(swap(facts));
    findings.extend(dialects(facts));
    findings.extend(probes(facts));
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let release = facts.release.as_deref().unwrap_or("of unknown release");
    let says = format!("{release}, {}, pages of {}", facts.arch, facts.page_size);
    if facts.arch == "x86_64" && facts.page_size == Bytes(4096) {
        Finding::new("kernel", Level::Ok, says)
    } else {
        Finding::new("kernel", Level::Warn, format!("{says}: only x86_64 with pages of 4.0 KiB was tested"))
    }
}

fn cgroups(facts: &Facts) -> Finding {
    match &facts.cgroups {
        Ok(()) => Finding::new("cgroup", Level::Ok, "cgroup v2 with the memory controller"),
        Err(why) => Finding::new("cgroup", Level::Missing, why.clone()),
    }
}

fn valve(facts: &Facts) -> Finding {
    if facts.has_valve {
        return Finding::new("valve", Level::Ok, "memory.zswap.writeback is there: write-back can be aimed");
    }
    let says = "memory.zswap.writeback is missing from every cgroup: the way to disk cannot be opened for one cgroup \
                and closed for the others";
    Finding::new("valve", Level::Missing, says)
        .fix("run a kernel that has this file: Linux 6.8 and later, with zswap")
}

fn zswap(facts: &Facts) -> Vec<Finding> {
    if !facts.has_zswap {
        let says = "/sys/module/zswap/parameters is missing: this kernel has no zswap";
        return vec![Finding::new("zswap", Level::Missing, says).fix("run a kernel built with CONFIG_ZSWAP")];
    }
    let zswap = &facts.zswap;
    let mut findings = Vec::new();
    if zswap.enabled == Some(true) {
        let percent = |value: Option<u8>| value.map_or("?".to_owned(), |value| value.to_string());
        let says = format!(
            "on: {}, at most {} % of RAM, taking pages again below {} % of that",
            zswap.compressor.as_deref().unwrap_or("unknown compressor"),
            percent(zswap.max_pool_percent),
            percent(zswap.accept_threshold_percent),
        );
        findings.push(Finding::new("zswap", Level::Ok, says));
    } else {
        let fix =
            "echo Y > /sys/module/zswap/parameters/enabled, or `[zswap] enabled = true` in swaptier.toml";
        let says = "off: pages go straight to the disk, and there is nothing to write back";
        findings.push(Finding::new("zswap", Level::Lost, says).fix(fix));
    }
    if zswap.shrinker_enabled == Some(true) {
        let says = "the kernel's own shrinker is on: under pressure it writes back pages of any age, beside the budgets";
        let fix = "`[zswap] shrinker_enabled = false` in swaptier.toml, unless you want it";
        findings.push(Finding::new("shrinker", Level::Warn, says).fix(fix));
    }
    if !facts.has_zswap_counters {
        let says =
            "zswap's counters in debugfs cannot be read: stores refused during a round are not reported";
        let fix = "as root: mount -t debugfs debugfs /sys/kernel/debug (zswap's folder appears once it was enabled)";
        findings.push(Finding::new("debugfs", Level::Warn, says).fix(fix));
    }
    findings
}

fn swap(facts: &Facts) -> Vec<Finding> {
    let areas = match &facts.swaps {
        Ok(areas) => areas,
        Err(why) => {
            return vec![Finding::new("swap", Level::Warn, format!("the swap areas are not known: {why}"))];
        }
    };
    if areas.is_empty() {
        let says = "no swap area is on: nothing is swapped out, so nothing is compressed or written back";
        return vec![
            Finding::new("swap", Level::Lost, says).fix("mkswap and swapon a partition or a file on a disk"),
        ];
    }
    let name = |area: &crate::sense::SwapArea| format!("{} ({})", area.path, area.size);
    let says = areas.iter().map(name).collect::<Vec<_>>().join(", ");
    let mut findings = vec![Finding::new("swap", Level::Ok, says)];
    if let Some(zram) = areas.iter().find(|area| area.path.starts_with("/dev/zram")) {
        let says = format!("{} is memory too: write-back to it frees little", zram.path);
        findings.push(
            Finding::new("zram", Level::Warn, says).fix("use a disk for swap, or zram instead of zswap"),
        );
    }
    if areas.len() > 1 && !facts.has_tiers_max {
        let says = "this kernel has no memory.swap.tiers.max: among swap areas it goes by priority, for all cgroups alike";
        findings.push(Finding::new("areas", Level::Warn, says));
    }
    findings
}

fn dialects(facts: &Facts) -> Vec<Finding> {
    // Hardly a kernel has these two; one that has needs nothing else.
    let is_rare = |name: &str| matches!(name, "key" | "shrinker");
    let is_any_ready = facts.dialects.iter().any(|(_, ready)| ready.is_ok());
    let is_rare_ready = facts.dialects.iter().any(|(name, ready)| is_rare(name) && ready.is_ok());
    let finding = |(name, ready): &(&'static str, Result<(), String>)| match ready {
        Ok(()) => Finding::new("write-back", Level::Ok, format!("the {name} can be used now")),
        Err(why) => {
            if is_any_ready && (is_rare(name) || is_rare_ready) {
                return Finding::new("write-back", Level::Ok, format!("the {name} is not used: {why}"));
            }
            let level = if is_any_ready { Level::Warn } else { Level::Lost };
            let finding = Finding::new("write-back", level, format!("the {name} cannot be used now: {why}"));
            match remedy(name, facts) {
                Some(fix) => finding.fix(fix),
                None => finding,
            }
        }
    };
    let mut findings: Vec<Finding> = facts.dialects.iter().map(finding).collect();
    if facts.cgroups.is_ok() && !facts.has_reclaim {
        let says = "memory.reclaim is missing: the gate has nothing to push with";
        findings.push(
            Finding::new("reclaim", Level::Warn, says).fix("none is needed while the worker can be used"),
        );
    }
    findings
}

/// What to change so that a dialect can be used. What another finding already says is not said again.
fn remedy(dialect: &str, facts: &Facts) -> Option<String> {
    let has_swap = facts.swaps.as_ref().is_ok_and(|areas| !areas.is_empty());
    if facts.zswap.enabled != Some(true) || !has_swap {
        return None;
    }
    match dialect {
        "worker" => Some("raise `[zswap] max_pool_percent` or `accept_threshold_percent`".to_owned()),
        _ => None,
    }
}

fn probes(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lost = |why: &str| Finding::new("probes", Level::Lost, format!("{why}; {NO_MAP}"));
    match &facts.hooks {
        HookFacts::NotLookedAt => {
            let says = "not looked at: the root is a folder, its kernel is not the one that runs";
            return vec![Finding::new("probes", Level::Warn, says)];
        }
        HookFacts::Unreadable(why) => findings.push(lost(why)),
        HookFacts::Uncovered(missing) => {
            findings.push(lost(&format!("this kernel has no function to watch for: {}", missing.join(", "))));
        }
        HookFacts::Covered { programs, lost: unseen, has_symbol } => {
            let says = format!("{programs} programs fit this kernel's functions");
            findings.push(Finding::new("probes", Level::Ok, says));
            findings.extend(unseen.iter().map(|what| Finding::new("probes", Level::Warn, what.clone())));
            if !has_symbol {
                let fix = "run as root with CAP_SYSLOG, and sysctl kernel.kptr_restrict=1 where it is 2";
                findings.push(lost("/proc/kallsyms shows no address for zswap_list_lru").fix(fix));
            }
        }
    }
    if facts.lockdown.as_deref() == Some("confidentiality") {
        let why = "the kernel is locked down (confidentiality): probes may not read its memory";
        findings.push(lost(why).fix("boot with lockdown=integrity, or without"));
    }
    if !facts.has_bpffs {
        let why = "no bpffs is mounted on /sys/fs/bpf";
        findings.push(lost(why).fix("as root: mount -t bpf bpf /sys/fs/bpf"));
    }
    if !facts.capabilities_lacking.is_empty() {
        let lacking = facts.capabilities_lacking.join(", ");
        let says =
            format!("this process lacks {lacking}: the agent needs them, and this report may be incomplete");
        findings.push(Finding::new("rights", Level::Warn, says).fix("run this as root"));
    }
    findings
}
