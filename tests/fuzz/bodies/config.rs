//! `swaptier.toml`.

use swaptier::config::Config;
use swaptier_policies::SourceFile;

use super::faults;

/// Reads the text. What is taken lies within the bounds that the rest of the program relies on.
pub fn try_one(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let source = SourceFile::text("swaptier.toml", text);
    let config = match Config::parse(&source) {
        Ok(config) => config,
        Err(found) => return faults::check(&found, &source.text),
    };
    let agent = &config.agent;
    assert!((1..=60).contains(&agent.tick.0) && agent.interval >= agent.tick && agent.interval.0 <= 3600);
    for path in agent.policy_dirs.iter().chain([&agent.state_dir]) {
        assert!(path.starts_with('/') && !path.contains('\0') && !path.split('/').any(|part| part == ".."));
    }
    assert!((1..=600).contains(&config.writeback.deadline.0) && config.writeback.max_pages_per_round.0 >= 1);
    let percent = [config.zswap.max_pool_percent, config.zswap.accept_threshold_percent];
    assert!(percent.into_iter().flatten().all(|percent| (1..=100).contains(&percent)));
    if let Some(name) = config.zswap.compressor {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c)));
    }
}
