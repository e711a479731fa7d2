//! The settings: what is taken, what is refused and how it is said; and which files count.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use swaptier_policies::{Bytes, Marks, Pages, Seconds, Share, SourceFile};

use crate::vswap::{AreaKind, AreaSpec};

use super::*;
use crate::fake::FakeRoot;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let source = SourceFile::text("swaptier.toml", text);
    Config::parse(&source).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn me() -> Trust {
    Trust::User(rustix::process::geteuid().as_raw())
}

#[test]
fn nothing_said_means_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(parse("[agent]\n[map]\n[writeback]\n[zswap]\n[record]\n").unwrap(), Config::default());
}

#[test]
fn every_key_lands_in_its_own_field() {
    let text = r#"
        [agent]
        tick = "2s"
        interval = "1m"
        state_dir = "/srv/state"
        policy_dirs = ["/srv/a", "/srv/b"]
        journal = "8M"
        [map]
        slots = 1048576
        reserve = 64
        time_swap_ins = "always"
        keep = "never"
        [writeback]
        dialect = "gate"
        max_pages_per_round = 4096
        deadline = "3s"
        [zswap]
        enabled = true
        max_pool_percent = 30
        accept_threshold_percent = 80
        shrinker_enabled = false
        compressor = "zstd"
        [record]
        enabled = true
        folder = "/srv/recordings"
        file_size = "2M"
        files = 3
        [socket]
        group = "swaptier"
        [metrics]
        cgroups = 7
        listen = "127.0.0.1:9812"
        textfile = "/var/lib/node_exporter/swaptier.prom"
    "#;
    let expected = Config {
        agent: AgentConfig {
            tick: Seconds(2),
            interval: Seconds(60),
            state_dir: "/srv/state".into(),
            policy_dirs: vec!["/srv/a".into(), "/srv/b".into()],
            journal: Bytes(8 << 20),
        },
        map: MapConfig {
            slots: Some(1_048_576),
            reserve: Some(64),
            time_swap_ins: TimeSwapIns::Always,
            keep: Keep::Never,
        },
        writeback: WritebackConfig {
            dialect: DialectChoice::Gate,
            max_pages_per_round: Pages(4096),
            deadline: Seconds(3),
        },
        zswap: ZswapSettings {
            enabled: Some(true),
            max_pool_percent: Some(30),
            accept_threshold_percent: Some(80),
            shrinker_enabled: Some(false),
            compressor: Some("zstd".into()),
        },
        record: RecordConfig {
            enabled: true,
            folder: Some("/srv/recordings".into()),
            file_size: Bytes(2 << 20),
            files: 3,
        },
        areas: Vec::new(),
        socket: SocketConfig { group: Some("swaptier".into()) },
        metrics: MetricsConfig {
            cgroups: 7,
            listen: Some(([127, 0, 0, 1], 9812).into()),
            textfile: Some("/var/lib/node_exporter/swaptier.prom".into()),
        },
    };
    assert_eq!(parse(text).unwrap(), expected);
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_meant() {
    for (text, told) in [
        ("[agent]\ntik = \"1s\"\n", "2:1: unknown key `tik` in `[agent]`\n  help: did you mean `tick`?"),
        ("[agnet]\n", "1:2: unknown key `agnet`\n  help: did you mean `agent`?"),
        (
            "[map]\n  \"colour\" = 1\n",
            "2:3: unknown key `colour` in `[map]`\n  help: known here: `slots`, `reserve`, `time_swap_ins`, `keep`",
        ),
        ("[agent]\ntick = 1\n", "2:8: `agent.tick` must be a time such as \"1s\", not integer"),
        ("[agent]\ntick = \"2m\"\n", "2:8: `tick` must be from 1s to 1m, not 2m"),
        ("[agent]\ntick = \"0s\"\n", "2:8: `tick` must be from 1s to 1m, not 0s"),
        ("[agent]\ntick = \"9s\"\n", "2:8: `agent.interval` (5s) is below `agent.tick` (9s)"),
        (
            "[agent]\nstate_dir = \"var\"\n",
            "2:13: `agent.state_dir` must be an absolute path without `..`, not string",
        ),
        (
            "[agent]\npolicy_dirs = [\"/a\", \"/b/../c\"]\n",
            "2:22: `agent.policy_dirs` must be a list of absolute paths, not string",
        ),
        ("[map]\nslots = 1\n", "2:9: `map.slots` must be from 512 to 4294967296"),
        ("[map]\nslots = -1\n", "2:9: `map.slots` must be from 512 to 4294967296"),
        (
            "[writeback]\ndialect = \"wroker\"\n",
            "2:11: `writeback.dialect`: unknown word `wroker`\n  help: did you mean `worker`?",
        ),
        (
            "[writeback]\ndialect = \"magic\"\n",
            "2:11: `writeback.dialect`: unknown word `magic`\n  help: known here: `auto`, `key`, `shrinker`, `worker`, `gate`, `none`",
        ),
        ("[zswap]\nmax_pool_percent = 101\n", "2:20: `zswap.max_pool_percent` must be from 1 to 100"),
        ("[zswap]\nenabled = \"yes\"\n", "2:11: `zswap.enabled` must be `true` or `false`, not string"),
        (
            "[zswap]\ncompressor = \"a/b\"\n",
            "2:14: `zswap.compressor` must be the name of a compressor such as \"lz4\", not string",
        ),
        // A column counts characters: `é` is one of them and two bytes.
        (
            "agent = { policy_dirs = [\"/é\", \"b\"] }\n",
            "1:32: `agent.policy_dirs` must be a list of absolute paths, not string",
        ),
        ("agent = 3\n", "1:9: `agent` must be a table, not integer"),
    ] {
        assert_eq!(parse(text).unwrap_err(), [format!("swaptier.toml:{told}")], "{text}");
    }
}

#[test]
fn every_key_of_an_area_lands_in_its_own_field() {
    let text = r#"
        [[area]]
        name = "main"
        kind = "virtual"
        size = "64G"
        devices = ["/dev/vdb", "/srv/pool"]
        file_size = "8G"
        priority = 100
        encrypt = true
        marks = { resume = "50%", demote = "60%", close = "70%", stop = "80.5%" }
        [[area]]
        name = "ghost"
        kind = "ghost"
        memory = "1%"
    "#;
    let areas = parse(text).unwrap().areas;
    let name = |text: &str| text.parse().unwrap();
    let main = AreaSpec {
        size: Some(Bytes(64 << 30)),
        devices: vec!["/dev/vdb".into(), "/srv/pool".into()],
        file_size: Some(Bytes(8 << 30)),
        priority: Some(100),
        encrypt: true,
        ..AreaSpec::new(name("main"), AreaKind::Virtual)
    };
    let marks =
        Marks { resume: Share(500_000), demote: Share(600_000), close: Share(700_000), stop: Share(805_000) };
    assert_eq!(areas[0], AreaConfig { spec: main, marks, memory: MemoryBudget::DEFAULT });
    let memory = MemoryBudget::Share(Share(10_000));
    let ghost = AreaSpec::new(name("ghost"), AreaKind::Ghost);
    assert_eq!(areas[1], AreaConfig { spec: ghost, marks: Marks::default(), memory });
    // 1 % of 1 GiB, rounded down.
    assert_eq!((memory.of(Bytes(1 << 30)), areas.len()), (Bytes(10_737_418), 2));
}

#[test]
fn a_mistake_in_an_area_is_told_with_its_place_and_what_was_meant() {
    let head = "[[area]]\nname = \"a\"\nkind = \"virtual\"\ndevices = [\"/dev/vdb\"]\n";
    let ghost = "[[area]]\nname = \"a\"\nkind = \"ghost\"\n";
    for (start, rest, told) in [
        (head, "sise = \"1G\"\n", "5:1: unknown key `sise` in `[area]`\n  help: did you mean `size`?"),
        (head, "size = \"1M\"\n", "5:8: `area.size` must be 16.0 MiB at least, not 1.0 MiB"),
        (head, "size = 5\n", "5:8: `area.size` must be a size such as \"64G\", not integer"),
        (head, "priority = -1\n", "5:12: `area.priority` must be from 0 to 32767"),
        (
            head,
            "marks = { demot = \"50%\" }\n",
            "5:11: unknown key `demot` in `[area.marks]`\n  help: did you mean `demote`?",
        ),
        (
            head,
            "marks = { demote = \"90%\" }\n",
            "5:1: marks must rise and stay below 100%: resume 60%, demote 90%, close 80%, stop 90%",
        ),
        (
            head,
            "size = \"1G\"\nmemory = \"1%\"\n",
            "6:1: `area.memory` means nothing beside `area.size`: the number of slots is given",
        ),
        (
            ghost,
            "devices = [\"/dev/vdb\"]\n",
            "4:1: `area.devices` means nothing for kind `ghost`: it has no storage",
        ),
        (
            ghost,
            "encrypt = true\n",
            "4:1: `area.encrypt` means nothing for kind `ghost`: nothing of it is ever on a disk",
        ),
        (ghost, ghost, "5:8: there is another area `a` before this one"),
        ("", "[[area]]\nname = \"a\"\n", "1:1: `[[area]]` has no `kind`"),
        (
            "",
            "[[area]]\nname = \"a\"\nkind = \"ghos\"\n",
            "3:8: `area.kind`: unknown word `ghos`\n  help: did you mean `ghost`?",
        ),
        (
            "",
            "[[area]]\nname = \"A b\"\nkind = \"ghost\"\n",
            "2:8: `area.name` must be a name: 1 to 15 of a-z, 0-9 and _, a letter first, not string",
        ),
        (
            "",
            "[[area]]\nname = \"a\"\nkind = \"virtual\"\n",
            "1:1: a virtual area needs `devices`\n  help: name the disks, partitions or files it may take blocks from",
        ),
        ("", "[[area]]\nname = \"a\"\nkind = \"plain\"\n", "1:1: a plain area needs one device in `devices`"),
        ("", "[area]\nname = \"a\"\n", "1:1: `area` must be tables: write `[[area]]`, not table"),
    ] {
        let text = format!("{start}{rest}");
        assert_eq!(parse(&text).unwrap_err(), [format!("swaptier.toml:{told}")], "{text}");
    }
}

#[test]
fn metrics_are_listened_for_on_this_host_alone() {
    for address in ["0.0.0.0:9812", "192.0.2.1:9812", "[::]:9812", "127.0.0.1", "localhost:9812", ":9812"] {
        let told = parse(&format!("[metrics]\nlisten = \"{address}\"\n")).unwrap_err();
        assert!(told.len() == 1 && told[0].contains("an address of this host alone"), "{told:?}");
    }
    for address in ["127.0.0.1:9812", "127.8.8.8:1", "[::1]:9812"] {
        assert!(parse(&format!("[metrics]\nlisten = \"{address}\"\n")).is_ok(), "{address}");
    }
}

#[test]
fn every_key_of_an_area_is_documented_and_the_shipped_settings_load() {
    let document = include_str!("../../../docs/areas.md");
    for key in area::KEYS.iter().chain(&area::MARKS) {
        assert!(document.contains(&format!("`{key}`")), "`{key}` is not in docs/areas.md");
    }
    let shipped = include_str!("../../../packaging/swaptier.toml");
    assert_eq!(parse(shipped).unwrap(), Config::default(), "every value in it is the default");
    let examples: Vec<&str> =
        document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        assert!(!parse(example).unwrap().areas.is_empty(), "{example}");
    }
    // The commented example of an area loads once it is none.
    let section = shipped.split("#[[area]]").nth(1).unwrap();
    let lines = section.lines().skip(1).map_while(|line| line.strip_prefix('#'));
    let example = lines.fold("[[area]]\n".to_owned(), |text, line| text + line + "\n");
    assert_eq!(parse(&example).unwrap().areas.len(), 1, "{example}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_text() {
    let told = parse("[zswap]\nenabled = 1\nfoo = 2\n[agent]\ntick = \"soon\"\n").unwrap_err();
    let lines: Vec<_> = told.iter().map(|fault| fault.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3", "5"]);
}

#[test]
fn what_is_no_toml_is_a_mistake_with_a_place() {
    let told = parse("[agent]\ntick = \n[zswap]\nfoo = 1\n").unwrap_err();
    assert!(told.len() == 1 && told[0].starts_with("swaptier.toml:2:"), "{told:?}");
}

#[test]
fn the_strongest_folder_counts_and_nothing_of_the_weaker_ones() {
    let fake = FakeRoot::empty();
    let tick = || {
        load(fake.root(), Trust::Anyone, None).map(|config| (config.agent.tick.0, config.agent.interval.0))
    };
    assert_eq!(tick().unwrap(), (1, 5), "no file: the defaults");
    fake.write("usr/lib/swaptier/swaptier.toml", "[agent]\ntick = \"2s\"\ninterval = \"9s\"\n");
    assert_eq!(tick().unwrap(), (2, 9));
    fake.write("etc/swaptier/swaptier.toml", "[agent]\ntick = \"3s\"\n");
    assert_eq!(tick().unwrap(), (3, 5));
    fake.write("run/swaptier/swaptier.toml", "");
    assert_eq!(tick().unwrap(), (1, 5), "an empty file masks the others");
    fake.remove("run/swaptier/swaptier.toml");
    symlink("/dev/null", fake.path("run/swaptier/swaptier.toml")).unwrap();
    assert_eq!(tick().unwrap(), (1, 5), "and so does a link to /dev/null");
}

#[test]
fn a_named_file_must_be_there() {
    let fake = FakeRoot::empty();
    fake.write("srv/x.toml", "[agent]\ntick = \"4s\"\n");
    assert_eq!(load(fake.root(), Trust::Anyone, Some("/srv/x.toml")).unwrap().agent.tick, Seconds(4));
    let error = load(fake.root(), Trust::Anyone, Some("/srv/y.toml")).unwrap_err();
    assert!(matches!(&error, ConfigError::Read(e) if e.is_gone()), "{error}");
}

#[test]
fn a_broken_file_is_told_with_its_whole_path() {
    let fake = FakeRoot::empty();
    fake.write("etc/swaptier/swaptier.toml", "tik = 1\n");
    let error = load(fake.root(), Trust::Anyone, None).unwrap_err().to_string();
    let path = fake.path("etc/swaptier/swaptier.toml");
    assert!(error.starts_with(&format!("{}:1:1: unknown key `tik`", path.display())), "{error}");
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let fake = FakeRoot::empty();
    fake.write("etc/swaptier/swaptier.toml", "");
    let path = fake.path("etc/swaptier/swaptier.toml");
    for (mode, is_refused) in [(0o644, false), (0o600, false), (0o664, true), (0o646, true)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let loaded = load(fake.root(), me(), None);
        assert_eq!(matches!(loaded, Err(ConfigError::Untrusted { .. })), is_refused, "{mode:o}: {loaded:?}");
        load(fake.root(), Trust::Anyone, None).unwrap();
    }
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let fake = FakeRoot::empty();
    fake.write("etc/swaptier/swaptier.toml", "");
    fs::set_permissions(fake.path("etc/swaptier"), Permissions::from_mode(0o777)).unwrap();
    let error = load(fake.root(), me(), None).unwrap_err().to_string();
    assert!(error.contains("others may write it (mode 777)"), "{error}");
}

#[test]
fn a_file_of_another_user_is_refused() {
    let fake = FakeRoot::empty();
    fake.write("etc/swaptier/swaptier.toml", "");
    let stranger = Trust::User(rustix::process::geteuid().as_raw() + 1);
    let error = load(fake.root(), stranger, None).unwrap_err().to_string();
    assert!(error.contains("it belongs to uid"), "{error}");
}

#[test]
fn only_regular_files_are_read() {
    let fake = FakeRoot::empty();
    fake.write("etc/swaptier/other.toml", "");
    let path = fake.path("etc/swaptier/swaptier.toml");
    symlink("other.toml", &path).unwrap();
    let error = load(fake.root(), Trust::Anyone, None).unwrap_err().to_string();
    assert!(error.contains("it is a link to other.toml"), "{error}");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let error = load(fake.root(), Trust::Anyone, None).unwrap_err().to_string();
    assert!(error.contains("it is not a regular file"), "{error}");
    fs::remove_file(&path).unwrap();
    fs::write(&path, [0xff]).unwrap();
    let error = load(fake.root(), Trust::Anyone, None).unwrap_err().to_string();
    assert!(error.contains("it is not UTF-8"), "{error}");
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    let error = load(fake.root(), Trust::Anyone, None).unwrap_err().to_string();
    assert!(error.contains("it is longer than"), "{error}");
}

#[test]
fn policy_folders_are_laid_over_each_other() {
    let fake = FakeRoot::empty();
    fake.write("usr/lib/swaptier/policies.d/10-a.toml", "usr a");
    fake.write("usr/lib/swaptier/policies.d/20-b.toml", "usr b");
    fake.write("etc/swaptier/policies.d/20-b.toml", "etc b");
    fake.write("etc/swaptier/policies.d/notes.txt", "no policy");
    fake.write("etc/swaptier/policies.d/.10-a.toml.swp.toml", "an editor's");
    fake.write("etc/swaptier/policies.d/30-c.toml", "etc c");
    fake.write("etc/swaptier/policies.d/README", "");
    symlink("/dev/null", fake.path("etc/swaptier/policies.d/10-a.toml")).unwrap();
    // `/run/swaptier/policies.d` does not exist.
    let files = policy_files(fake.root(), me(), &AgentConfig::default().policy_dirs).unwrap();
    let found: Vec<_> = files.iter().map(|f| (f.file_name(), f.text.as_str())).collect();
    assert_eq!(found, [("20-b.toml", "etc b"), ("30-c.toml", "etc c")]);
    assert_eq!(files[0].name, fake.path("etc/swaptier/policies.d/20-b.toml").display().to_string());
}

#[test]
fn every_policy_file_that_is_refused_is_told() {
    let fake = FakeRoot::empty();
    for name in ["a", "b"] {
        let path = format!("etc/swaptier/policies.d/{name}.toml");
        fake.write(&path, "");
        fs::set_permissions(fake.path(&path), Permissions::from_mode(0o666)).unwrap();
    }
    let errors = policy_files(fake.root(), me(), &AgentConfig::default().policy_dirs).unwrap_err();
    assert_eq!(errors.len(), 2);
}
