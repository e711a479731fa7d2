//! What the facts mean: one finding for each thing that was looked at. Pure.
//!
//! Properties, each with a test: a capable host has no finding beyond `ok`; each feature taken away gives one that says
//! what is missing by name; only what the agent cannot do without is `missing`.

use swaptier_policies::Bytes;

use crate::sense::Accounting;

use super::{About, Facts, Finding, HookFacts, Level};

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
    // No way is one that takes anybody's pages.
    if facts.accounting.loss().is_none() {
        findings.extend(dialects(facts));
    }
    findings.extend(probes(facts));
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let release = facts.release.as_deref().unwrap_or("of unknown release");
    let says = format!("{release}, {}, pages of {}", facts.arch, facts.page_size);
    if facts.arch == "x86_64" && facts.page_size == Bytes(4096) {
        Finding::new(About::Kernel, Level::Ok, says)
    } else {
        Finding::new(
            About::Kernel,
            Level::Warn,
            format!("{says}: only x86_64 with pages of 4.0 KiB was tested"),
        )
    }
}

fn cgroups(facts: &Facts) -> Finding {
    match &facts.cgroups {
        Ok(()) => Finding::new(About::Cgroup, Level::Ok, "cgroup v2 with the memory controller"),
        Err(why) => Finding::new(About::Cgroup, Level::Missing, why.clone()),
    }
}

fn valve(facts: &Facts) -> Finding {
    if facts.has_valve {
        return Finding::new(
            About::Valve,
            Level::Ok,
            "memory.zswap.writeback is there: write-back can be aimed",
        );
    }
    let says = "memory.zswap.writeback is missing from every cgroup: the way to disk cannot be opened for one cgroup \
                and closed for the others";
    Finding::new(About::Valve, Level::Missing, says)
        .fix("run a kernel that has this file: Linux 6.8 and later, with zswap")
}

fn zswap(facts: &Facts) -> Vec<Finding> {
    if !facts.has_zswap {
        let says = "/sys/module/zswap/parameters is missing: this kernel has no zswap";
        return vec![
            Finding::new(About::Zswap, Level::Missing, says).fix("run a kernel built with CONFIG_ZSWAP"),
        ];
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
        findings.push(Finding::new(About::Zswap, Level::Ok, says));
    } else {
        let fix =
            "echo Y > /sys/module/zswap/parameters/enabled, or `[zswap] enabled = true` in swaptier.toml";
        let says = "off: pages go straight to the disk, and there is nothing to write back";
        findings.push(Finding::new(About::Zswap, Level::Lost, says).fix(fix));
    }
    if let Some(says) = facts.accounting.loss() {
        let fix = match facts.accounting {
            Accounting::Nokmem => "boot without `nokmem` in `cgroup.memory=`",
            _ => "make /proc/cmdline readable",
        };
        findings.push(Finding::new(About::Accounting, Level::Lost, says).fix(fix));
    }
    if zswap.shrinker_enabled == Some(true) {
        let says = "the kernel's own shrinker is on: under pressure it writes back pages of any age, beside the budgets";
        let fix = "`[zswap] shrinker_enabled = false` in swaptier.toml, unless you want it";
        findings.push(Finding::new(About::Shrinker, Level::Warn, says).fix(fix));
    }
    findings.extend(debugfs(facts));
    findings
}

fn debugfs(facts: &Facts) -> Option<Finding> {
    let says = "zswap's counters in debugfs cannot be read: stores refused during a round are not reported";
    let fix = match (facts.has_debugfs, facts.zswap.enabled) {
        _ if facts.has_zswap_counters => return None,
        (false, _) => "as root: mount -t debugfs debugfs /sys/kernel/debug",
        (true, Some(true)) => {
            "debugfs is mounted: run this as root; a kernel without CONFIG_DEBUG_FS in zswap has none"
        }
        // zswap makes its folder there when it is switched on.
        (true, _) => return None,
    };
    Some(Finding::new(About::Debugfs, Level::Warn, says).fix(fix))
}

fn swap(facts: &Facts) -> Vec<Finding> {
    let areas = match &facts.swaps {
        Ok(areas) => areas,
        Err(why) => {
            return vec![Finding::new(
                About::Swap,
                Level::Warn,
                format!("the swap areas are not known: {why}"),
            )];
        }
    };
    if areas.is_empty() {
        let says = "no swap area is on: nothing is swapped out, so nothing is compressed or written back";
        return vec![
            Finding::new(About::Swap, Level::Lost, says)
                .fix("mkswap and swapon a partition or a file on a disk"),
        ];
    }
    let name = |area: &crate::sense::SwapArea| format!("{} ({})", area.shown(), area.size);
    let says = areas.iter().map(name).collect::<Vec<_>>().join(", ");
    let mut findings = vec![Finding::new(About::Swap, Level::Ok, says)];
    if let Some(zram) = areas.iter().find(|area| area.is_zram()) {
        let says = format!("{} is memory too: write-back to it frees little", zram.shown());
        findings.push(
            Finding::new(About::Zram, Level::Warn, says).fix("use a disk for swap, or zram instead of zswap"),
        );
    }
    if areas.len() > 1 && !facts.has_tiers_max {
        let says = "this kernel has no memory.swap.tiers.max: among swap areas it goes by priority, for all cgroups alike";
        findings.push(Finding::new(About::Areas, Level::Warn, says));
    }
    findings
}

fn dialects(facts: &Facts) -> Vec<Finding> {
    // Hardly a kernel has these two; one that has needs nothing else.
    let is_rare = |name: &str| matches!(name, "key" | "shrinker");
    let is_any_ready = facts.dialects.iter().any(|(_, ready)| ready.is_ok());
    let is_rare_ready = facts.dialects.iter().any(|(name, ready)| is_rare(name) && ready.is_ok());
    let finding = |(name, ready): &(&'static str, Result<(), String>)| match ready {
        Ok(()) => Finding::new(About::WriteBack, Level::Ok, format!("the {name} can be used now")),
        Err(why) => {
            if is_any_ready && (is_rare(name) || is_rare_ready) {
                return Finding::new(About::WriteBack, Level::Ok, format!("the {name} is not used: {why}"));
            }
            let level = if is_any_ready { Level::Warn } else { Level::Lost };
            let finding =
                Finding::new(About::WriteBack, level, format!("the {name} cannot be used now: {why}"));
            match remedy(name, facts) {
                Some(fix) => finding.fix(fix),
                None => finding,
            }
        }
    };
    let mut findings: Vec<Finding> = match same_reason(facts) {
        Some(why) if facts.dialects.len() > 1 => {
            let names: Vec<&str> = facts.dialects.iter().map(|(name, _)| *name).collect();
            let says = format!("none of its ways can be used now ({}): {why}", names.join(", "));
            vec![Finding::new(About::WriteBack, Level::Lost, says)]
        }
        _ => facts.dialects.iter().map(finding).collect(),
    };
    if facts.cgroups.is_ok() && !facts.has_reclaim {
        let says = "memory.reclaim is missing: the gate has nothing to push with";
        findings.push(
            Finding::new(About::Reclaim, Level::Warn, says)
                .fix("none is needed while the worker can be used"),
        );
    }
    findings
}

/// The one reason why no dialect can be used, if it is one: it is told once.
fn same_reason(facts: &Facts) -> Option<&str> {
    let mut reasons = facts.dialects.iter().map(|(_, ready)| ready.as_ref().err().map(String::as_str));
    let first = reasons.next()??;
    reasons.all(|reason| reason == Some(first)).then_some(first)
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
    let lost = |why: &str| Finding::new(About::Probes, Level::Lost, format!("{why}; {NO_MAP}"));
    match &facts.hooks {
        HookFacts::NotLookedAt => {
            let says = "not looked at: the root is a folder, its kernel is not the one that runs";
            return vec![Finding::new(About::Probes, Level::Warn, says)];
        }
        HookFacts::Unreadable(why) => findings.push(lost(why)),
        HookFacts::Uncovered(missing) => {
            findings.push(lost(&format!("this kernel has no function to watch for: {}", missing.join(", "))));
        }
        HookFacts::Covered { programs, lost: unseen, has_symbol } => {
            let says = format!("{programs} programs fit this kernel's functions");
            findings.push(Finding::new(About::Probes, Level::Ok, says));
            findings.extend(unseen.iter().map(|what| Finding::new(About::Probes, Level::Warn, what.clone())));
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
        findings.push(Finding::new(About::Rights, Level::Warn, says).fix("run this as root"));
    }
    findings
}
