//! A status for people. Pure: the value in, the text out.

use std::fmt::Write as _;

use serde_json::Value;
use swaptier_policies::{Bytes, Knob, Seconds};

use crate::{
    cli::output::{Paint, Side, Table, Tone, UNKNOWN, or_unknown, plain},
    serve::{
        figures::{Figure, Unit, cgroup as figure},
        status::{CgroupStatus, HostStatus, MapState, MapStatus, PoolStatus, Status},
    },
};

/// How many rounds are shown.
const ROUNDS: usize = 8;

/// The whole status; `page` is the page size in bytes.
pub(super) fn render(status: &Status, page: u64, paint: Paint) -> String {
    let mut text = String::new();
    for (name, line) in head(status) {
        line_of(&mut text, paint, name, &line);
    }
    if let Some(why) = &status.agent.blind {
        let ticks = counted(status.agent.blind_ticks, "tick", "ticks");
        line_of(&mut text, paint, "blind", &plain(&format!("{ticks} saw nothing, the last one too: {why}")));
    }
    for lost in &status.agent.lost {
        line_of(&mut text, paint, "lost", &plain(lost));
    }
    areas(&mut text, status, page, paint);
    cgroups(&mut text, status, page, paint);
    rounds(&mut text, status, page, paint);
    held(&mut text, status, paint);
    text
}

// Writing into a `String` cannot fail: the results of `writeln!` below are dropped.
fn line_of(text: &mut String, paint: Paint, name: &str, line: &str) {
    let tone = if matches!(name, "lost" | "blind") { Tone::Care } else { Tone::Strong };
    let _ = writeln!(text, "{}  {line}", paint.tone(tone, &format!("{name:<6}")));
}

fn head(status: &Status) -> [(&'static str, String); 3] {
    [("agent", agent(status)), ("host", host(&status.host)), ("map", map(&status.map, status.agent.running))]
}

fn agent(status: &Status) -> String {
    let agent = &status.agent;
    let policies = counted(agent.policies as u64, "policy", "policies");
    if !agent.running {
        let absent = agent.absent.as_deref().unwrap_or("not running");
        return format!("{}; {policies} in force", plain(absent));
    }
    let writes = match (&agent.dialect, &agent.no_dialect) {
        (Some(dialect), _) => format!("writes back by {dialect}"),
        (None, Some(why)) => format!("cannot write back: {why}"),
        (None, None) => "cannot write back".to_owned(),
    };
    let pid = or_unknown(agent.pid);
    format!("process {pid}, tick {} ({:.1} ms), {policies}, {}", agent.tick, agent.tick_ms, plain(&writes))
}

fn host(host: &HostStatus) -> String {
    let size = |bytes: Option<u64>| or_unknown(bytes.map(Bytes));
    let used = host.swap_total_bytes.saturating_sub(host.swap_free_bytes);
    format!(
        "{} RAM; zswap holds {} in {} compressed ({}), limit {}; {} of {} swap slots in use",
        Bytes(host.ram_bytes),
        size(host.zswap_original_bytes),
        size(host.zswap_compressed_bytes),
        ratio(host.zswap_original_bytes, host.zswap_compressed_bytes),
        size(host.pool_limit_bytes),
        Bytes(used),
        Bytes(host.swap_total_bytes),
    )
}

/// What an agent without a map still does is said with it.
const WITHOUT_MAP: &str = "; no policy writes back, and `swaptier writeback` only without --older-than";

fn map(map: &MapStatus, is_agent_running: bool) -> String {
    if map.state == MapState::Absent {
        let reason = plain(map.reason.as_deref().unwrap_or("no reason given"));
        return format!("absent: {reason}{}", if is_agent_running { WITHOUT_MAP } else { "" });
    }
    format!(
        "{}: {} in {}, drift {} against the kernel, {} missed, {} skipped",
        map.state,
        Bytes(map.locked_bytes),
        counted(map.chunks, "chunk", "chunks"),
        counted_signed(map.drift_pages),
        counted(map.missed_events, "event", "events"),
        counted(map.recursion_misses, "run", "runs"),
    )
}

fn areas(text: &mut String, status: &Status, page: u64, paint: Paint) {
    let left = |title| (title, Side::Left);
    let right = |title| (title, Side::Right);
    let mut table = Table::new([
        left("AREA"),
        left("STORAGE"),
        right("PRIORITY"),
        right("SLOTS"),
        right("USED"),
        right("ZSWAP"),
        right("DISK"),
        right("PINNED"),
        right("POOL"),
        right("ROOM"),
        right("ON DISK"),
        left("MARKS"),
    ]);
    let pages = |pages: Option<u64>| or_unknown(pages.map(|pages| Bytes(pages.saturating_mul(page))));
    for area in &status.areas {
        let name = if area.name.is_empty() { &area.path } else { &area.name };
        let of_pool = |what: fn(&PoolStatus) -> String| or_unknown(area.pool.as_ref().map(what));
        table.row([
            plain(name),
            or_unknown(area.storage),
            area.priority.to_string(),
            Bytes(area.size_bytes).to_string(),
            Bytes(area.used_bytes).to_string(),
            pages(area.zswap_pages),
            pages(area.phys_pages),
            pages(area.pinned_pages),
            of_pool(|pool| format!("{} of {}", Bytes(pool.used_bytes), Bytes(pool.total_bytes))),
            of_pool(|pool| Bytes(pool.headroom_bytes).to_string()),
            or_unknown(
                area.pool.as_ref().and_then(|pool| pool.amplification).map(|ratio| format!("{ratio:.2} x")),
            ),
            of_pool(|pool| pool.level.to_string()),
        ]);
    }
    if !table.is_empty() {
        let _ = write!(text, "\n{}", table.render(paint));
    }
}

fn cgroups(text: &mut String, status: &Status, page: u64, paint: Paint) {
    let left = |title: &str| (title.to_owned(), Side::Left);
    let right = |title: &str| (title.to_owned(), Side::Right);
    let of = |figure: Figure<CgroupStatus>| (figure.label(), Side::Right);
    let mut columns = [
        left("CGROUP"),
        left("POLICY"),
        of(figure::RAM),
        of(figure::ZSWAP),
        of(figure::COMPRESSED),
        right("RATIO"),
        of(figure::DISK),
        of(figure::ZERO),
        of(figure::UNKNOWN),
        right("COLD"),
        of(figure::OLDEST),
        right("WRITTEN BACK"),
    ]
    .into_iter();
    let title = |knob: Knob| knob.file().trim_start_matches("memory.").to_uppercase();
    let mut knobs = Knob::ALL.into_iter().map(|knob| (title(knob), Side::Right));
    let titles: [_; COLUMNS] =
        std::array::from_fn(|_| columns.next().or_else(|| knobs.next()).unwrap_or_else(|| right("")));
    let mut table = Table::new(titles);
    for cgroup in &status.cgroups {
        table.row(row(cgroup, page));
    }
    if table.is_empty() {
        text.push_str("\nno cgroup has a policy or anything in swap\n");
        return;
    }
    let _ = write!(text, "\n{}", table.render(paint));
    text.push_str(
        "pages count as original bytes, subtrees included; COLD is in zswap for as long as the policy asks\n",
    );
}

/// Columns of a cgroup: what it has, and the files that policies set.
const COLUMNS: usize = 12 + Knob::ALL.len();

fn row(cgroup: &CgroupStatus, page: u64) -> [String; COLUMNS] {
    let pages = |pages: Option<u64>| or_unknown(pages.map(|pages| Bytes(pages.saturating_mul(page))));
    let shown = |figure: Figure<CgroupStatus>| {
        let number = figure.shown(cgroup, page).map(|number| number as u64);
        match figure.unit {
            Unit::Seconds => or_unknown(number.map(Seconds)),
            _ => or_unknown(number.map(Bytes)),
        }
    };
    let zswap = cgroup.zswap_pages.map(|pages| pages.saturating_mul(page));
    let cold = match (cgroup.cold_pages, cgroup.older_than_seconds) {
        (Some(_), Some(age)) => format!("{} >= {}", pages(cgroup.cold_pages), Seconds(age)),
        _ => pages(cgroup.cold_pages),
    };
    // The root is the empty path.
    let path = if cgroup.path.is_empty() { "/" } else { &cgroup.path };
    let cells = [
        path.to_owned(),
        or_unknown(cgroup.policy.as_deref()),
        shown(figure::RAM),
        shown(figure::ZSWAP),
        shown(figure::COMPRESSED),
        ratio(zswap, cgroup.zswap_compressed_bytes),
        shown(figure::DISK),
        shown(figure::ZERO),
        pages(cgroup.unknown_pages.filter(|pages| *pages > 0)),
        cold,
        shown(figure::OLDEST),
        pages(cgroup.written_back_pages),
    ];
    let mut cells = cells.into_iter();
    let told = |knob| cgroup.settings.get(knob).filter(|_| cgroup.settings.is_telling(knob));
    let mut knobs = Knob::ALL.into_iter().map(|knob| or_unknown(told(knob)));
    std::array::from_fn(|_| cells.next().or_else(|| knobs.next()).unwrap_or_default())
}

fn rounds(text: &mut String, status: &Status, page: u64, paint: Paint) {
    if status.rounds.is_empty() {
        return;
    }
    let mut table = Table::new([
        ("ROUND OF", Side::Left),
        ("BY", Side::Left),
        ("ASKED", Side::Right),
        ("WRITTEN", Side::Right),
        ("PAGES", Side::Right),
        ("AGES", Side::Right),
        ("SIBLINGS", Side::Right),
        ("FROM LRU", Side::Right),
        ("TIME", Side::Right),
        ("ENDED", Side::Left),
    ]);
    for round in status.rounds.iter().skip(status.rounds.len().saturating_sub(ROUNDS)) {
        table.row(round_row(round, page));
    }
    let _ = write!(text, "\n{}", table.render(paint));
}

/// A report of the engine, read field by field: one of another version has other fields, and is shown as far as it goes.
fn round_row(round: &Value, page: u64) -> [String; 10] {
    let number = |name: &str| round[name].as_u64();
    let word = |name: &str| or_unknown(round[name].as_str());
    let pages = |name| or_unknown(number(name).map(|pages| Bytes(pages.saturating_mul(page))));
    let ages = match (number("youngest_seconds"), number("oldest_seconds")) {
        (Some(youngest), Some(oldest)) => format!("{}..{}", Seconds(youngest), Seconds(oldest)),
        _ => UNKNOWN.to_owned(),
    };
    let ended = match round["error"].as_str() {
        Some(error) => format!("{}: {error}", word("ended")),
        None => word("ended"),
    };
    [
        word("cgroup"),
        word("dialect"),
        pages("asked_pages"),
        pages("written_pages"),
        or_unknown(number("written_pages")),
        ages,
        or_unknown(number("sibling_pages")),
        or_unknown(number("lru_pages_reclaimed")),
        or_unknown(round["seconds"].as_f64().map(|seconds| format!("{seconds:.2} s"))),
        ended,
    ]
}

fn held(text: &mut String, status: &Status, paint: Paint) {
    if status.held.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, "HELD BACK"));
    for held in &status.held {
        let _ = writeln!(text, "{}: {} ({})", plain(&held.cgroup), plain(&held.reason), plain(&held.policy));
    }
}

/// How many original bytes are in one compressed byte, to the tenth.
fn ratio(original: Option<u64>, compressed: Option<u64>) -> String {
    match (original, compressed) {
        (Some(original), Some(compressed)) if compressed > 0 => {
            let tenths = u128::from(original) * 10 / u128::from(compressed);
            format!("{}.{}x", tenths / 10, tenths % 10)
        }
        _ => UNKNOWN.to_owned(),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn counted_signed(pages: i64) -> String {
    format!("{pages} {}", if pages.abs() == 1 { "page" } else { "pages" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::{AgentStatus, HeldStatus};
    use swaptier_policies::{Limit, Settings};

    fn cold() -> CgroupStatus {
        CgroupStatus {
            path: "demo.slice/cold".into(),
            policy: Some("demo-cold.toml".into()),
            memory_current_bytes: Some(20 << 20),
            // 8,192 pages of 4 KiB are 32 MiB; in 8 MiB that is 4.0 to one.
            zswap_pages: Some(8192),
            zswap_compressed_bytes: Some(8 << 20),
            // 512 pages are 2 MiB, 6,144 are 24 MiB.
            phys_pages: Some(512),
            zero_pages: Some(0),
            unknown_pages: Some(0),
            cold_pages: Some(6144),
            older_than_seconds: Some(5),
            oldest_seconds: Some(75),
            written_back_pages: Some(512),
            settings: Settings::fresh()
                .with(Knob::ZswapMax, Limit::Bytes(Bytes(256 << 20)))
                .with(Knob::ZswapWriteback, false),
            ..CgroupStatus::default()
        }
    }

    fn status() -> Status {
        let agent = AgentStatus {
            running: true,
            pid: Some(812),
            tick: 42,
            tick_ms: 3.12,
            policies: 2,
            dialect: Some("worker".into()),
            ..AgentStatus::default()
        };
        let host = HostStatus {
            ram_bytes: 1 << 30,
            zswap_compressed_bytes: Some(8 << 20),
            zswap_original_bytes: Some(36 << 20),
            pool_limit_bytes: Some(200 << 20),
            swap_total_bytes: 1 << 30,
            swap_free_bytes: (1 << 30) - (40 << 20),
            ..HostStatus::default()
        };
        let map = MapStatus {
            state: MapState::Exact,
            chunks: 1,
            locked_bytes: 256 << 10,
            recursion_misses: 3,
            ..MapStatus::default()
        };
        let round = serde_json::json!({
            "cgroup": "demo.slice/cold", "dialect": "worker", "asked_pages": 500, "written_pages": 512,
            "youngest_seconds": 8, "oldest_seconds": 127, "sibling_pages": 0, "lru_pages_reclaimed": 0,
            "seconds": 0.25, "ended": "target", "error": null,
        });
        let held = HeldStatus {
            cgroup: "demo.slice/hot".into(),
            policy: "demo-hot.toml".into(),
            reason: "no page has been in zswap for 10m".into(),
        };
        Status {
            schema: 1,
            agent,
            host,
            map,
            cgroups: vec![cold()],
            rounds: vec![round],
            held: vec![held],
            ..Status::default()
        }
    }

    const GOLDEN: &str = "\
agent   process 812, tick 42 (3.1 ms), 2 policies, writes back by worker
host    1.0 GiB RAM; zswap holds 36.0 MiB in 8.0 MiB compressed (4.5x), limit 200.0 MiB; 40.0 MiB of 1.0 GiB swap slots in use
map     exact: 256.0 KiB in 1 chunk, drift 0 pages against the kernel, 0 events missed, 3 runs skipped

CGROUP           POLICY               RAM     ZSWAP  COMPRESSED  RATIO     DISK  ZERO            COLD  OLDEST  WRITTEN BACK  SWAP.MAX  ZSWAP.MAX  ZSWAP.WRITEBACK
demo.slice/cold  demo-cold.toml  20.0 MiB  32.0 MiB     8.0 MiB   4.0x  2.0 MiB   0 B  24.0 MiB >= 5s  1m 15s       2.0 MiB       max  256.0 MiB                0
pages count as original bytes, subtrees included; COLD is in zswap for as long as the policy asks

ROUND OF         BY        ASKED  WRITTEN  PAGES       AGES  SIBLINGS  FROM LRU    TIME  ENDED
demo.slice/cold  worker  2.0 MiB  2.0 MiB    512  8s..2m 7s         0         0  0.25 s  target

HELD BACK
demo.slice/hot: no page has been in zswap for 10m (demo-hot.toml)
";

    #[test]
    fn a_status_reads_as_the_golden_text() {
        assert_eq!(render(&status(), 4096, Paint::NONE), GOLDEN);
    }

    #[test]
    fn unknown_is_never_shown_as_nothing() {
        let mut status = status();
        let known = CgroupStatus { path: "a".into(), ..cold() };
        status.cgroups = vec![known, CgroupStatus { path: "b".into(), ..CgroupStatus::default() }];
        let text = render(&status, 4096, Paint::NONE);
        let blind = text.lines().find(|line| line.starts_with("b ")).unwrap();
        assert!(!blind.contains('0'), "{blind}");
        assert_eq!(blind.matches(UNKNOWN).count(), 13, "{blind}");
    }

    #[test]
    fn without_an_agent_it_is_said_what_is_not_known() {
        let mut status = status();
        status.agent = AgentStatus { lost: vec!["no agent is running".into()], ..AgentStatus::default() };
        status.map =
            MapStatus { state: MapState::Absent, reason: Some("no agent".into()), ..MapStatus::default() };
        let text = render(&status, 4096, Paint::NONE);
        assert!(text.starts_with("agent   not running; 0 policies in force\n"), "{text}");
        assert!(text.contains("map     absent: no agent\nlost    no agent is running\n"), "{text}");
    }

    #[test]
    fn an_agent_without_a_map_says_what_that_costs() {
        let mut status = status();
        status.map =
            MapStatus { state: MapState::Absent, reason: Some("--no-bpf".into()), ..MapStatus::default() };
        let text = render(&status, 4096, Paint::NONE);
        assert!(text.contains("map     absent: --no-bpf; no policy writes back"), "{text}");
    }
}
