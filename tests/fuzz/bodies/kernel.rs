//! Files of `/proc` and of cgroups. Every text goes through every reader: none of them knows what it will get.

use swaptier::sense::cgroupfs::texts::{is_populated, parse_bytes, parse_limit, parse_switch};
use swaptier::sense::procfs::parse_meminfo;
use swaptier::sense::{MemoryStat, Pressure, VmStat, swaps};
use swaptier_policies::{Bytes, Limit};

/// Reads the text as each of the files. Only what stands in the text is known afterwards.
pub fn try_one(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    check_counters(&text);
    check_values(&text);
    if let Some(pressure) = Pressure::parse(&text) {
        let stalls = [Some(pressure.some), pressure.full].into_iter().flatten();
        assert!(stalls.into_iter().all(|stall| stall.avg10.0 <= 1_000_000 && stall.avg60.0 <= 1_000_000));
    }
    match parse_meminfo(&text) {
        Ok(memory) => {
            let sizes = [Some(memory.total), memory.available, memory.zswap, memory.zswapped];
            assert!(sizes.into_iter().flatten().all(|Bytes(bytes)| bytes == 0 || stands(&text, bytes)));
        }
        Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
    }
    let areas = swaps::parse(input);
    // Each line but the first, and no character that would move a terminal's cursor.
    assert_eq!(
        areas.len(),
        input.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()).count()
    );
    assert!(areas.iter().all(|area| !area.shown().contains(char::is_control)));
}

/// Whether these bytes stand in the text, as they are or in kB.
fn stands(text: &str, bytes: u64) -> bool {
    let words = text.split_ascii_whitespace().filter_map(|word| word.parse::<u64>().ok());
    words.into_iter().any(|number| number == bytes || number.checked_mul(1024) == Some(bytes))
}

fn check_counters(text: &str) {
    let (stat, vmstat) = (MemoryStat::parse(text), VmStat::parse(text));
    for (key, value) in [
        ("zswap", stat.zswap),
        ("zswapped", stat.zswapped),
        ("zswpwb", stat.zswpwb),
        ("pswpin", vmstat.pswpin),
    ] {
        let is_said = text.lines().any(|line| line.starts_with(&format!("{key} ")));
        assert!(is_said || value.is_none(), "{key} is {value:?} out of nothing");
    }
}

fn check_values(text: &str) {
    let number = text.trim().parse::<u64>().ok();
    assert!(parse_bytes(text).is_none_or(|Bytes(bytes)| number == Some(bytes)));
    assert!(match parse_limit(text) {
        Some(Limit::Max) => text.trim() == "max",
        Some(Limit::Bytes(Bytes(bytes))) => number == Some(bytes),
        None => true,
    });
    assert_eq!(parse_switch(text).map(u64::from), number.filter(|n| *n < 2 && text.trim().len() == 1));
    assert!(!is_populated(text) || text.contains("populated 1"));
}
