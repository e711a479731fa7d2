//! The real binary on a little host in a folder: exit codes, and what goes where. What is printed in detail is tested
//! beside the code that prints it.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A folder that stands for `/`, with what the reading commands need.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Host {
        let host = Host { dir: tempfile::tempdir().unwrap() };
        host.write("proc/meminfo", MEMINFO);
        host.write("proc/cmdline", "root=/dev/vda ro quiet\n");
        host.write("proc/swaps", "Filename Type Size Used Priority\n/dev/vda partition 1048572 0 -2\n");
        host.write("sys/class/block/vda/dev", "254:0\n");
        host.write("sys/dev/block/254:0/uevent", "DEVNAME=vda\n");
        host.write("proc/vmstat", "pswpin 0\n");
        host.write("sys/module/zswap/parameters/enabled", "Y\n");
        host.write("sys/module/zswap/parameters/max_pool_percent", "20\n");
        host.write("sys/module/zswap/parameters/accept_threshold_percent", "90\n");
        host.write("sys/module/zswap/parameters/shrinker_enabled", "N\n");
        host.write("sys/fs/cgroup/cgroup.controllers", "memory\n");
        host.write("sys/fs/cgroup/memory.stat", "zswapped 0\n");
        host.write("sys/fs/cgroup/memory.zswap.writeback", "1\n");
        host.write("sys/fs/cgroup/a/cgroup.events", "populated 1\n");
        host.write("sys/fs/cgroup/a/memory.current", "8192\n");
        host.write("sys/fs/cgroup/a/memory.swap.max", "max\n");
        host.write("sys/fs/cgroup/a/memory.swap.current", "4096\n");
        host
    }

    fn path(&self, rel: &str) -> PathBuf {
        self.dir.path().join(rel)
    }

    fn write(&self, rel: &str, text: &str) {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swaptier"));
        command.arg("--root").arg(self.dir.path()).args(args).env_remove("SWAPTIER_ROOT");
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

const POLICY: &str = "schema = 1\n[match]\ncgroup = [\"a\"]\n[tiers]\nuse = [\"zswap\"]\n";

#[test]
fn a_command_line_that_is_not_understood_is_2() {
    let host = Host::new();
    assert_eq!(host.run(&["nonsense"]).0, Some(2));
    assert_eq!(host.run(&["explain"]).0, Some(2));
    assert_eq!(host.run(&[]).0, Some(2));
}

#[test]
fn check_says_how_many_policies_are_good() {
    let host = Host::new();
    host.write("p.toml", POLICY);
    let file = host.path("p.toml");
    let (code, out, err) = host.run(&["check", file.to_str().unwrap()]);
    let note =
        "note: p.toml: leaves alone memory.swap.max (no `swap_max`), memory.zswap.max (no `zswap_max`)\n";
    assert_eq!((code, out, err), (Some(0), format!("{note}1 policy, no faults\n"), String::new()));
}

#[test]
fn check_tells_where_a_policy_in_force_would_raise_a_limit_of_somebody() {
    let host = Host::new();
    host.write("sys/fs/cgroup/a/memory.swap.max", "0\n");
    host.write("sys/fs/cgroup/a/memory.zswap.writeback", "1\n");
    let policy = |rest: &str| {
        let text = POLICY.replace("[\"zswap\"]", &format!("[\"zswap\"]\nzswap_max = \"max\"\n{rest}"));
        host.write("etc/swaptier/policies.d/p.toml", &text);
        host.run(&["check"]).1
    };
    let raises =
        "note: p.toml: raises memory.swap.max of a from 0 B to max, whoever set that\n1 policy, no faults\n";
    assert_eq!(policy("swap_max = \"max\""), raises);
    let leaves = "note: p.toml: leaves alone memory.swap.max (no `swap_max`)\n1 policy, no faults\n";
    assert_eq!(policy(""), leaves);
}

#[test]
fn a_wrong_policy_is_3_and_its_place_is_named() {
    let host = Host::new();
    host.write("p.toml", &POLICY.replace("zswap", "zwap"));
    let file = host.path("p.toml");
    let file = file.to_str().unwrap();
    let (code, out, _) = host.run(&["check", file]);
    assert_eq!(code, Some(3));
    assert!(out.contains(&format!("{file}:5:8: ")), "{out}");
    let (code, out, _) = host.run(&["check", "--json", file]);
    assert_eq!(code, Some(3));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["schema"], &json["faults"][0]["line"]), (&1.into(), &5.into()));
}

#[test]
fn a_file_that_cannot_be_read_is_1() {
    assert_eq!(Host::new().run(&["check", "/no/such/file.toml"]).0, Some(1));
}

#[test]
fn what_is_packaged_passes_the_check() {
    let host = Host::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let packaged = top.join("packaging/swaptier.toml");
    let batch = top.join("policies/batch.toml");
    let (code, out, _) = host.run(&["check", packaged.to_str().unwrap(), batch.to_str().unwrap()]);
    let note = "note: batch.toml: leaves alone memory.swap.max (no `swap_max`)\n";
    assert_eq!((code, out), (Some(0), format!("{note}1 policy, no faults\n")));
}

#[test]
fn status_without_an_agent_is_a_status() {
    let host = Host::new();
    let (code, out, err) = host.run(&["status", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["schema"], &json["agent"]["running"]), (&1.into(), &false.into()));
    assert_eq!(json["map"]["state"], "absent");
    assert_eq!(json["cgroups"][0]["path"], "a");
}

#[test]
fn explain_names_the_policy_and_what_it_wants() {
    let host = Host::new();
    host.write("etc/swaptier/policies.d/p.toml", POLICY);
    let (code, out, err) = host.run(&["explain", "/sys/fs/cgroup/a"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("a has the policy p.toml\n  p.toml wins by \"a\"\n"), "{out}");
}

#[test]
fn doctor_ends_in_4_where_the_valve_is_missing_and_names_it() {
    let host = Host::new();
    assert_eq!(host.run(&["doctor"]).0, Some(0));
    fs::remove_file(host.path("sys/fs/cgroup/memory.zswap.writeback")).unwrap();
    let (code, out, _) = host.run(&["doctor"]);
    assert_eq!(code, Some(4));
    assert!(out.contains("memory.zswap.writeback is missing"), "{out}");
    let (code, out, _) = host.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["schema"], &json["level"]), (Some(4), &1.into(), &"missing".into()));
}

#[test]
fn a_host_without_cgroup_v2_is_4() {
    let host = Host::new();
    fs::remove_file(host.path("sys/fs/cgroup/cgroup.controllers")).unwrap();
    let (code, out, err) = host.run(&["status"]);
    assert_eq!((code, out.as_str()), (Some(4), ""));
    assert!(err.contains("no cgroup v2 hierarchy"), "{err}");
}

#[test]
fn restore_gives_back_what_a_dead_agent_left() {
    let host = Host::new();
    let log = "{\"seq\":1,\"v\":1,\"kind\":\"file\",\"path\":\"sys/module/zswap/parameters/enabled\",\"old\":\"N\",\"new\":\"Y\"}\n";
    host.write("var/lib/swaptier/undo.jsonl", log);
    fs::set_permissions(host.path("var/lib/swaptier"), fs::Permissions::from_mode(0o700)).unwrap();
    let line = "restored /sys/module/zswap/parameters/enabled: Y -> N\n";
    let (code, out, _) = host.run(&["restore", "--dry-run"]);
    assert_eq!((code, out), (Some(0), format!("would be {line}")));
    let (code, out, _) = host.run(&["restore"]);
    assert_eq!((code, out.as_str()), (Some(0), line));
    assert_eq!(fs::read_to_string(host.path("sys/module/zswap/parameters/enabled")).unwrap().trim(), "N");
    let (code, out, _) = host.run(&["restore"]);
    assert_eq!((code, out.as_str()), (Some(0), "nothing to restore\n"));
}

#[test]
fn restore_beside_a_living_agent_is_7() {
    let host = Host::new();
    host.write("var/lib/swaptier/lock", "4711\n");
    fs::set_permissions(host.path("var/lib/swaptier"), fs::Permissions::from_mode(0o700)).unwrap();
    let lock = fs::File::open(host.path("var/lib/swaptier/lock")).unwrap();
    lock.lock().unwrap();
    let (code, _, err) = host.run(&["restore"]);
    assert_eq!(code, Some(7));
    assert!(err.contains("locked by process 4711"), "{err}");
    // Not only dropped: a child that another test is just starting may hold a copy of the descriptor.
    lock.unlock().unwrap();
    assert_eq!(host.run(&["restore"]).0, Some(0));
}

#[test]
fn a_reader_that_has_gone_is_no_error_worth_a_word() {
    let host = Host::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = host.command(&["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_full_disk_behind_the_output_is_1_with_the_reason() {
    let host = Host::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = host.command(&["man"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("No space left"));
}

#[test]
fn the_manual_and_the_completions_have_every_command_but_the_pump() {
    let host = Host::new();
    let (_, help, _) = host.run(&["--help"]);
    let (_, page, _) = host.run(&["man"]);
    let commands = [
        "agent",
        "status",
        "explain",
        "check",
        "doctor",
        "writeback",
        "record",
        "replay",
        "model",
        "restore",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        assert!(page.contains(&format!(".SH \"SWAPTIER {}\"", command.to_uppercase())), "{command}");
    }
    assert!(!help.contains("pump") && !page.contains("PUMP"));
    for shell in ["bash", "zsh", "fish"] {
        let (code, text, _) = host.run(&["completions", shell]);
        assert!(code == Some(0) && text.contains("writeback"), "{shell}");
    }
}

/// Waits for something that another process does.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed().as_secs() < 60, "{what} did not happen");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn the_recording_of_a_killed_agent_decides_again_to_the_same_plans() {
    let host = Host::new();
    host.write("sys/fs/cgroup/a/memory.zswap.writeback", "1\n");
    host.write("etc/swaptier/policies.d/p.toml", POLICY);
    host.write("etc/swaptier/swaptier.toml", "[agent]\ninterval = \"1s\"\n[record]\nenabled = true\n");
    let mut agent = host.command(&["agent"]).stderr(Stdio::null()).spawn().unwrap();
    let folder = host.path("var/lib/swaptier/recordings");
    let folder = folder.to_str().unwrap();
    let replay = |more: &[&str]| {
        let (code, out, err) = host.run(&[&["replay", folder, "--json"], more].concat());
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap_or_default(), err)
    };
    // While it is written, too.
    wait_for("three ticks recorded", || (replay(&[]).1["frames"].as_u64()? >= 3).then_some(()));
    agent.kill().unwrap();
    agent.wait().unwrap();
    let (code, json, err) = replay(&[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{json}");
    assert_eq!((&json["schema"], &json["recorded_by"]["as"]), (&1.into(), &"agent".into()));
    assert_eq!((&json["same"], &json["different"]), (&json["decisions"], &0.into()));
    assert!(json["decisions"].as_u64() >= Some(3), "{json}");
    assert_eq!(json["losses"], serde_json::json!([]));
    // The valve is a step of the first decision; a policy that opens it would not have closed it.
    host.write("other.toml", &POLICY.replace("[\"zswap\"]", "[\"zswap\", \"disk\"]\noverflow = \"disk\""));
    let (_, json, _) = replay(&["--policy", host.path("other.toml").to_str().unwrap()]);
    let side = &json["other"]["cgroups"][0];
    assert_eq!((&side["path"], &side["done"]["files"]["memory.zswap.writeback"]), (&"a".into(), &"0".into()));
    assert_eq!(side["would"]["policy"], "other.toml");
}

#[test]
fn what_is_recorded_without_an_agent_is_looked_at_and_nothing_is_changed() {
    let host = Host::new();
    host.write("sys/fs/cgroup/a/memory.zswap.writeback", "1\n");
    host.write("etc/swaptier/policies.d/p.toml", POLICY);
    let output = host.path("out");
    let output = output.to_str().unwrap();
    let (code, out, _) = host.run(&["record", "--output", output, "--duration", "1s"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with(&format!("{output}: ")) && out.contains(" frames, "), "{out}");
    assert_eq!(fs::read_to_string(host.path("sys/fs/cgroup/a/memory.zswap.writeback")).unwrap(), "1\n");
    let (code, out, _) = host.run(&["replay", output]);
    assert_eq!(code, Some(0));
    assert!(out.contains("(record) on Linux") && out.contains("decisions are the same again"), "{out}");
}

#[test]
fn a_file_that_is_no_recording_is_refused_with_the_reason() {
    let host = Host::new();
    host.write("x.rec", "hello");
    let (code, out, err) = host.run(&["replay", host.path("x.rec").to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("x.rec: this is no recording of swaptier"), "{err}");
    assert_eq!(host.run(&["replay"]).0, Some(2));
    host.write("empty/notes.txt", "");
    assert_eq!(host.run(&["replay", host.path("empty").to_str().unwrap()]).0, Some(6));
    assert_eq!(host.run(&["record", "--alone", "--file-size", "1K"]).0, Some(2));
}

/// Every field that a parser of this file asks for.
const MEMINFO: &str = "\
MemTotal:        1048576 kB
MemFree:          512000 kB
MemAvailable:     800000 kB
Buffers:            1024 kB
Cached:           200000 kB
SwapCached:            0 kB
Active:           100000 kB
Inactive:         100000 kB
SwapTotal:       1048572 kB
SwapFree:        1048572 kB
Zswap:                 0 kB
Zswapped:              0 kB
Dirty:                 0 kB
Writeback:             0 kB
AnonPages:         50000 kB
Mapped:            20000 kB
Slab:              40000 kB
SReclaimable:      20000 kB
SUnreclaim:        20000 kB
KernelStack:        2000 kB
PageTables:         1000 kB
NFS_Unstable:          0 kB
Bounce:                0 kB
WritebackTmp:          0 kB
CommitLimit:     1555828 kB
Committed_AS:     100000 kB
VmallocTotal:   34359738367 kB
VmallocUsed:       10000 kB
VmallocChunk:          0 kB
";
