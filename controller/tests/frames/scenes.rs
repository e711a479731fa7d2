//! The scenes: hosts that are made up, and keys that were pressed.

use ratatui::{
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Size,
};
use serde_json::json;
use swaptier::{
    serve::{
        detail::{Ages, Contender, Detail, FateStatus},
        events::{Event as HostEvent, EventKind},
        status::{
            ActionStatus, AgentStatus, AreaStatus, CgroupStatus, CostStatus, Durations, HeldStatus,
            HostRates, HostStatus, KnobStatus, MapState, MapStatus, PoolStatus, PressureStatus, Rates,
            Status, SwapIns,
        },
    },
    top::{
        paint::{ASCII, Look, Paint, UNICODE},
        seen::Seen,
        source::Origin,
        state::State,
        update::Event,
    },
};
use swaptier_policies::{AreaKind, Knob, Level, Setting, Settings};

/// A scene.
pub(super) struct Scene {
    /// The name of its files.
    pub(super) name: &'static str,
    /// Builds it.
    pub(super) make: fn(Size) -> State,
}

/// All scenes.
pub(super) const SCENES: &[Scene] = &[
    Scene { name: "quiet", make: |size| shown(size, quiet(), "") },
    Scene { name: "pressure", make: |size| shown(size, pressure(), "") },
    Scene { name: "demotion", make: |size| shown(size, demotion(), "jj\n") },
    Scene { name: "busy", make: |size| shown(size, busy(), "") },
    Scene { name: "no-agent", make: |size| shown(size, no_agent(), "") },
    Scene { name: "no-swap", make: |size| shown(size, no_swap(), "") },
    Scene { name: "no-bpf", make: |size| shown(size, no_bpf(), "") },
    Scene { name: "crowd", make: |size| shown(size, crowd(2_000), "Djjj") },
    Scene { name: "long-names", make: |size| shown(size, long_names(), "tN") },
    Scene { name: "wide-characters", make: |size| shown(size, wide_characters(), "N") },
    Scene { name: "areas", make: |size| shown(size, many_areas(), "2") },
    Scene { name: "closed", make: |size| shown(size, closed(), "jj\n") },
    Scene { name: "close", make: |size| shown(size, demotion(), "jjc") },
    Scene { name: "events", make: |size| shown(size, demotion(), "3") },
    Scene { name: "help", make: |size| shown(size, quiet(), "?") },
    Scene { name: "order", make: |size| shown(size, demotion(), "jjw") },
    Scene { name: "recording", make: |size| super::recorded::shown(size, COLOURS, "") },
    Scene { name: "recording-seek", make: |size| super::recorded::shown(size, COLOURS, "s14:05:45\n]jj\n") },
    Scene { name: "recording-end", make: |size| super::recorded::shown(size, COLOURS, "}}3") },
    Scene { name: "ascii", make: |size| with(size, wide_characters(), "jj\n", ASCII_ALONE) },
];

pub(super) const COLOURS: Look = Look { paint: Paint { has_colours: true }, signs: UNICODE };
const ASCII_ALONE: Look = Look { paint: Paint { has_colours: false }, signs: ASCII };

/// Pages of 4 KiB in a MiB.
const MIB: u64 = 256;

fn shown(size: Size, seen: Seen, keys: &str) -> State {
    with(size, seen, keys, COLOURS)
}

/// Looked at three times, with these keys pressed after the second.
fn with(size: Size, seen: Seen, keys: &str, look: Look) -> State {
    let origin = match seen.status.agent.running {
        true => Origin { label: "agent".into(), is_recorded: false, can_act: true },
        false => Origin { label: "no agent: cgroup files".into(), ..Origin::default() },
    };
    let mut state = State::new(size, look, origin.clone());
    let look_at = |state: &mut State, seen: &Seen| {
        state.update(Event::Seen(Box::new(seen.clone()), origin.clone()));
    };
    look_at(&mut state, &seen);
    let silent = Seen { events: vec![], ..seen };
    look_at(&mut state, &silent);
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        state.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    look_at(&mut state, &silent);
    state
}

/// A cgroup with so many MiB in RAM, in zswap and on disk; what is in zswap compresses to a quarter.
fn cgroup(id: u64, path: &str, ram: u64, zswap: u64, disk: u64) -> CgroupStatus {
    CgroupStatus {
        id,
        path: path.into(),
        memory_current_bytes: Some(ram << 20),
        zswap_pages: Some(zswap * MIB),
        zswap_compressed_bytes: Some(zswap << 18),
        phys_pages: Some(disk * MIB),
        zero_pages: Some(MIB / 2),
        folio_pages: Some(0),
        unknown_pages: Some(0),
        oldest_seconds: Some(75),
        written_back_pages: Some(disk * MIB),
        regret_pages: Some(disk * MIB / 200),
        swap_current_bytes: Some((zswap + disk) << 20),
        settings: Settings::fresh(),
        rates: Some(rates(0.0, 0.0, 0.0)),
        memory_pressure: Some(PressureStatus::default()),
        ..CgroupStatus::default()
    }
}

/// The same of the host, which writes nothing else to a device.
fn host_rates(stored: f64, loaded: f64, written_back: f64) -> HostRates {
    let Rates { stored, loaded, written_back, read, .. } = rates(stored, loaded, written_back);
    HostRates { stored, loaded, written_back, written: written_back, read }
}

/// Pages a second that go to zswap, come back, and are written back.
fn rates(stored: f64, loaded: f64, written_back: f64) -> Rates {
    Rates {
        stored: Some(stored),
        loaded: Some(loaded),
        written_back: Some(written_back),
        direct: Some(0.0),
        read: Some(loaded / 8.0),
    }
}

fn governed(cgroup: CgroupStatus, policy: &str, cold: u64) -> CgroupStatus {
    CgroupStatus {
        policy: Some(policy.into()),
        older_than_seconds: Some(600),
        cold_pages: Some(cold * MIB),
        ..cgroup
    }
}

fn status(cgroups: Vec<CgroupStatus>) -> Status {
    let area = AreaStatus {
        path: "/dev/vda2".into(),
        kind: "partition".into(),
        priority: -2,
        size_bytes: 8 << 30,
        used_bytes: 600 << 20,
        slots: (8 << 30) / 4096,
        used_slots: 600 * MIB,
        name: "/dev/vda2".into(),
        ..AreaStatus::default()
    };
    Status {
        schema: 1,
        // 14:05:30 UTC.
        unix_seconds: 1_763_647_530.25,
        agent: AgentStatus {
            running: true,
            pid: Some(812),
            tick: 4_242,
            tick_ms: 3.12,
            policies: 2,
            dialect: Some("worker".into()),
            tick_interval_seconds: 1,
            cost: CostStatus { tick_cpu_ms: 2.4, resident_bytes: Some(24 << 20), ..CostStatus::default() },
            ..AgentStatus::default()
        },
        host: HostStatus {
            ram_bytes: 4 << 30,
            page_bytes: 4096,
            available_bytes: Some(3 << 30),
            zswap_enabled: Some(true),
            zswap_compressed_bytes: Some(100 << 20),
            zswap_original_bytes: Some(400 << 20),
            pool_limit_bytes: Some(800 << 20),
            swap_total_bytes: 8 << 30,
            swap_free_bytes: (8 << 30) - (600 << 20),
            disk_original_bytes: Some(200 << 20),
            memory_pressure: Some(psi(0.0, 0.0)),
            io_pressure: Some(psi(0.0, 0.0)),
            rates: host_rates(0.0, 0.0, 0.0),
            ..HostStatus::default()
        },
        areas: vec![area],
        map: MapStatus {
            state: MapState::Exact,
            age_seconds: Some(0),
            chunks: 4,
            locked_bytes: 1 << 20,
            ..MapStatus::default()
        },
        cgroups,
        ..Status::default()
    }
}

fn psi(some: f64, full: f64) -> PressureStatus {
    PressureStatus { some_avg10: some, full_avg10: Some(full), ..PressureStatus::default() }
}

fn usual() -> Vec<CgroupStatus> {
    vec![
        cgroup(1, "", 1_000, 400, 200),
        cgroup(10, "batch.slice", 300, 260, 180),
        governed(cgroup(11, "batch.slice/report", 200, 200, 150), "batch.toml", 120),
        governed(cgroup(12, "batch.slice/index", 100, 60, 30), "batch.toml", 0),
        cgroup(20, "system.slice", 600, 130, 20),
        cgroup(21, "system.slice/postgresql.service", 500, 120, 20),
        cgroup(22, "system.slice/cron.service", 4, 10, 0),
        cgroup(30, "user.slice/user-1000.slice", 90, 10, 0),
    ]
}

pub(super) fn quiet() -> Seen {
    Seen { status: status(usual()), ..Seen::default() }
}

fn pressure() -> Seen {
    let mut status = status(usual());
    status.host.available_bytes = Some(90 << 20);
    status.host.zswap_compressed_bytes = Some(790 << 20);
    status.host.zswap_original_bytes = Some(2_400 << 20);
    status.host.memory_pressure = Some(psi(42.5, 11.0));
    status.host.io_pressure = Some(psi(8.25, 3.0));
    status.host.rates = host_rates(9_000.0, 4_000.0, 0.0);
    status.areas.push(AreaStatus {
        path: "/var/swap/second swapfile".into(),
        kind: "file".into(),
        priority: -3,
        size_bytes: 1 << 30,
        slots: (1 << 30) / 4096,
        ..AreaStatus::default()
    });
    for (row, (stored, loaded)) in status.cgroups.iter_mut().zip([
        (9_000.0, 4_000.0),
        (8_000.0, 200.0),
        (7_000.0, 150.0),
        (1_000.0, 50.0),
        (1_000.0, 3_800.0),
        (900.0, 3_750.0),
        (100.0, 50.0),
        (0.0, 0.0),
    ]) {
        row.rates = Some(rates(stored, loaded, 0.0));
        row.memory_pressure = Some(psi(stored / 200.0, 0.0));
    }
    Seen { status, ..Seen::default() }
}

/// A ghost before a virtual area whose pool has come so far that nothing is demoted, and a swap file nobody uses.
fn many_areas() -> Seen {
    let mut seen = pressure();
    let area = |name: &str, storage, priority, size: u64, zswap: u64, disk: u64, pinned: u64| AreaStatus {
        path: format!("/dev/mapper/swaptier-{name}"),
        name: name.into(),
        kind: "partition".into(),
        storage: Some(storage),
        priority,
        size_bytes: size << 20,
        used_bytes: (zswap + disk) << 20,
        zswap_pages: Some(zswap * MIB),
        phys_pages: Some(disk * MIB),
        pinned_pages: Some(pinned * MIB),
        ..AreaStatus::default()
    };
    let pool = PoolStatus {
        used_bytes: 870 << 20,
        total_bytes: 1_000 << 20,
        headroom_bytes: 0,
        level: Level::NoDemotion,
        amplification: Some(1.04),
        ..PoolStatus::default()
    };
    seen.status.areas = vec![
        area("plain", AreaKind::Plain, -2, 8_192, 120, 480, 120),
        AreaStatus { pool: Some(pool), ..area("main", AreaKind::Virtual, 10, 65_536, 1_900, 836, 0) },
        area("ghost", AreaKind::GhostDm, 5, 2_048, 0, 0, 0),
    ];
    seen
}

fn closed() -> Seen {
    let mut seen = demotion();
    let close = |row: &mut CgroupStatus| {
        row.policy = Some("closed-11.toml".into());
        row.closed_by_hand = true;
        row.settings.set(Knob::ZswapWriteback, Setting::from(false));
        (row.older_than_seconds, row.cold_pages) = (None, None);
    };
    close(&mut seen.status.cgroups[2]);
    if let Some(detail) = &mut seen.detail {
        close(&mut detail.row);
        let loser = Contender {
            policy: "batch.toml".into(),
            standing: "loses: priority 50, the winner has 2147483647".into(),
        };
        let winner =
            Contender { policy: "closed-11.toml".into(), standing: "wins by \"batch.slice/report\"".into() };
        detail.contenders = vec![winner, loser];
    }
    seen
}

pub(super) fn demotion() -> Seen {
    let mut status = status(usual());
    status.host.rates = host_rates(0.0, 0.0, 6_000.0);
    let action = ActionStatus {
        unix_seconds: 1_763_647_528,
        action: "write back 16384 pages older than 10m".into(),
        by: "batch.toml".into(),
        reason: "30720 pages have been in zswap for 10m; the round's budget is 64.0 MiB".into(),
        outcome: "wrote 16390 pages by the worker in 2.7 s: target".into(),
        is_trouble: false,
    };
    for row in &mut status.cgroups {
        if ["", "batch.slice", "batch.slice/report"].contains(&row.path.as_str()) {
            row.rates = Some(rates(0.0, 0.0, 6_000.0));
        }
    }
    status.cgroups[2].last = Some(action.clone());
    let held = HeldStatus {
        cgroup: "batch.slice/index".into(),
        policy: "batch.toml".into(),
        reason: "no page has been in zswap for 10m".into(),
    };
    status.held = vec![held];
    status.rounds =
        vec![json!({ "cgroup": "batch.slice/report", "written_pages": 16_390, "ended": "target" })];
    let knob = KnobStatus {
        path: "/sys/fs/cgroup/batch.slice/report/memory.zswap.writeback".into(),
        cgroup: Some(11),
        before: "1".into(),
        ours: "0".into(),
        by: "batch.toml".into(),
    };
    // 2^9 s are 8m32, 2^10 s 17m04: all from there on is older than 10m.
    let ages = Ages {
        zswap_pages: vec![0, 0, 12, 40, 200, 900, 2_000, 1_200, 800, 6_000, 9_000, 14_000, 17_000, 0, 48],
        loaded_pages: vec![90, 400, 380, 120, 60, 20, 8, 4, 2, 1, 1],
        written_back_pages: vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4_000, 16_390, 18_000],
    };
    // 1,302 from zswap, 96 of the disk.
    let swap_ins = SwapIns {
        is_timed: true,
        zswap: Durations { sum_seconds: 0.041, swap_ins: vec![0, 0, 0, 0, 420, 760, 110, 8, 3, 0, 1] },
        disk: Durations { sum_seconds: 0.212, swap_ins: vec![0, 0, 0, 0, 0, 0, 0, 4, 14, 30, 36, 10, 2] },
    };
    let detail = Detail {
        row: status.cgroups[2].clone(),
        ages: Some(ages),
        swap_ins: Some(swap_ins),
        knobs: vec![knob],
        actions: vec![
            ActionStatus {
                unix_seconds: 1_763_647_400,
                action: "memory.zswap.writeback = 0".into(),
                reason: "overflow = \"keep\"".into(),
                outcome: "a file of systemd's was written over since: left alone".into(),
                is_trouble: true,
                ..action.clone()
            },
            action.clone(),
        ],
        contenders: vec![Contender {
            policy: "batch.toml".into(),
            standing: "wins by \"batch.slice/**\"".into(),
        }],
        fate: Some(FateStatus { says: "areas: /dev/vda2 (plain, priority -2)".into(), can_work: true }),
        ..Detail::default()
    };
    let event = |seq, kind, text: &str| HostEvent {
        seq,
        unix_seconds: 1_763_647_500 + seq,
        kind,
        is_trouble: false,
        cgroup: None,
        by: None,
        text: text.into(),
        reason: None,
    };
    let events = vec![
        event(1, EventKind::Started, "2 policies in force"),
        HostEvent {
            is_trouble: true,
            ..event(2, EventKind::Trouble, "cgroup files were slow: 1 tick was late")
        },
        HostEvent {
            cgroup: Some("batch.slice/report".into()),
            by: Some(action.by),
            reason: Some(action.reason),
            ..event(3, EventKind::Step, &action.action)
        },
    ];
    Seen { status, detail: Some(detail), events, ..Seen::default() }
}

/// A round that takes its time.
fn busy() -> Seen {
    let mut seen = demotion();
    seen.status.agent.doing = Some("batch.slice/report: write back 16384 pages older than 10m".into());
    seen.age_seconds = 12;
    seen
}

/// What files alone say.
fn no_agent() -> Seen {
    let mut status = status(usual());
    status.agent = AgentStatus {
        policies: 2,
        lost: vec![swaptier::serve::absence::Absence::NotRunning.costs()],
        ..AgentStatus::default()
    };
    let reason = Some("no agent is running".into());
    status.map = MapStatus { state: MapState::Absent, reason, ..MapStatus::default() };
    forget_the_map(&mut status);
    Seen { status, ..Seen::default() }
}

/// A host on which nothing is set up.
fn no_swap() -> Seen {
    let mut seen = no_agent();
    let host = &mut seen.status.host;
    host.zswap_enabled = Some(false);
    (host.zswap_original_bytes, host.zswap_compressed_bytes) = (Some(0), Some(0));
    (host.swap_total_bytes, host.swap_free_bytes) = (0, 0);
    (seen.status.areas, seen.status.cgroups) = (Vec::new(), Vec::new());
    seen
}

fn no_bpf() -> Seen {
    let mut status = status(usual());
    status.agent.lost = vec!["no BPF: --no-bpf was given; there is no shadow map".into()];
    status.map =
        MapStatus { state: MapState::Absent, reason: Some("--no-bpf".into()), ..MapStatus::default() };
    forget_the_map(&mut status);
    Seen { status, ..Seen::default() }
}

fn forget_the_map(status: &mut Status) {
    status.host.disk_original_bytes = None;
    for row in &mut status.cgroups {
        row.phys_pages = None;
        row.zero_pages = None;
        row.folio_pages = None;
        row.unknown_pages = None;
        row.oldest_seconds = None;
        row.cold_pages = None;
        row.written_back_pages = None;
        row.regret_pages = None;
    }
}

fn crowd(cgroups: u64) -> Seen {
    let mut all =
        vec![cgroup(1, "", 60_000, 20_000, 9_000), cgroup(2, "kubepods.slice", 60_000, 20_000, 9_000)];
    all.extend((3..=cgroups).map(|id| {
        let path = format!("kubepods.slice/pod-{:04}.slice", id);
        // A sequence that jumps about, the same each time.
        governed(cgroup(id, &path, id % 97, id * 7_919 % 641, id * 104_729 % 523), "pods.toml", id % 13)
    }));
    Seen { status: status(all), ..Seen::default() }
}

fn long_names() -> Seen {
    let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f2a77d1_9f0e_4a0d_9c3b_52b0e8c2d7aa.slice";
    let long = "x".repeat(255);
    Seen {
        status: status(vec![
            cgroup(1, "", 900, 90, 10),
            governed(cgroup(2, pod, 200, 40, 5), &format!("{}.toml", "very-long-policy-name".repeat(3)), 20),
            cgroup(3, &format!("{pod}/cri-containerd-5d41402abc4b2a76b9719d911017c592.scope"), 100, 20, 2),
            cgroup(4, &format!("{long}/{long}"), 10, 5, 0),
        ]),
        ..Seen::default()
    }
}

fn wide_characters() -> Seen {
    Seen {
        status: status(vec![
            cgroup(1, "", 900, 90, 10),
            governed(cgroup(2, "データベース.slice", 200, 40, 5), "方針.toml", 20),
            cgroup(3, "データベース.slice/とても長い名前のサービスとその説明.service", 100, 20, 2),
            cgroup(4, "été-e\u{301}te\u{301}", 10, 5, 0),
            cgroup(5, "clear\u{1b}[2Jscreen\nnew line", 10, 4, 0),
            cgroup(6, "turned\u{202e}around", 10, 3, 0),
            cgroup(7, "emoji-👩‍💻", 10, 2, 0),
        ]),
        ..Seen::default()
    }
}
