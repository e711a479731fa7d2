//! The generator's binary as a user meets it: its lines, its exit codes, and that harm done from outside is found.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use swaptier_tests::workload::{Answer, Report};

const BINARY: &str = env!("CARGO_BIN_EXE_swaptier-workload");

/// A generator that waits for commands.
struct Driven {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Driven {
    fn start(arguments: &str) -> Driven {
        let mut command = Command::new(BINARY);
        command.args(arguments.split(' ')).arg("--commands");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Driven { child, stdout }
    }

    fn command(&mut self, command: &str) -> Answer {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Closes its stdin; its report and exit code.
    fn end(mut self) -> (Report, Option<i32>) {
        drop(self.child.stdin.take());
        let report = serde_json::from_str(&self.line()).unwrap();
        (report, self.child.wait().unwrap().code())
    }
}

fn run(arguments: &str) -> Output {
    Command::new(BINARY).args(arguments.split(' ')).output().unwrap()
}

#[test]
fn a_run_prints_ready_and_one_report() {
    let output = run("--hot 1M --warm 1M --cold 2M --zero 10 --raw 10 --loops 10");
    let text = String::from_utf8(output.stdout).unwrap();
    let (ready, report) = text.split_once('\n').unwrap();
    let report: Report = serde_json::from_str(report).unwrap();
    assert_eq!((ready, output.status.code()), ("ready", Some(0)));
    // 4 MiB are 1,024 pages. Ten loops: the 256 hot pages each time, a fifth of the 256 warm ones each time.
    assert_eq!((report.pages, report.mismatches, report.loops), (1024, 0, 10));
    assert_eq!((report.hot.touches, report.warm.touches, report.cold.touches), (2560, 512, 512));
}

#[test]
fn nonsense_ends_with_2_and_says_why() {
    for (arguments, word) in [
        ("--hot 0 --warm 0 --cold 0", "nothing to do"),
        ("--hot 64000G", "MiB of memory"),
        ("--hot 20MB", "is no size"),
        ("--compress 0", "0 is not in 1..=99"),
        ("--zero 70 --raw 40", "100 percent"),
    ] {
        let output = run(arguments);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {complaint}");
        assert!(complaint.contains(word) && output.stdout.is_empty(), "{arguments}: {complaint}");
    }
}

#[test]
fn phases_can_be_driven_one_by_one() {
    let mut driven = Driven::start("--hot 1M --warm 1M --cold 2M");
    assert_eq!(driven.command("touch cold").pages, 512);
    assert_eq!(driven.command("write warm 10..20").pages, 10);
    assert_eq!(driven.command("pageout cold 100").pages, 100);
    assert!(driven.command("touch cold 0..513").error.unwrap().contains("512 pages"));
    assert_eq!(driven.command("fork").error, None);
    assert!(driven.command("fork").error.unwrap().contains("already"));
    assert_eq!(driven.command("write cold").error, None);
    assert_eq!(driven.command("join").error, None);
    assert_eq!(driven.command("loops 2").error, None);
    assert_eq!(driven.command("free cold").error, None);
    assert!(driven.command("touch cold").error.unwrap().contains("no cold part"));
    assert_eq!(driven.command("verify").pages, 512);
    let (report, code) = driven.end();
    assert_eq!((report.pages, report.mismatches, report.loops, code), (512, 0, 2, Some(0)));
}

#[test]
fn sigterm_ends_a_run_with_its_report() {
    let mut driven = Driven::start("--hot 1M --warm 0 --cold 1M");
    let id = libc::pid_t::try_from(driven.child.id()).unwrap();
    // SAFETY: signals our own child, which has not been waited for.
    assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
    let report: Report = serde_json::from_str(&driven.line()).unwrap();
    assert_eq!((report.pages, report.mismatches), (512, 0));
    assert_eq!(driven.child.wait().unwrap().code(), Some(0));
}

/// A byte of one page changed from outside, as a bug of the kernel would: the verdict must be exit code 1.
#[test]
fn one_byte_changed_from_outside_fails_the_run() {
    let mut driven = Driven::start("--hot 1M --warm 0 --cold 1M --shmem");
    let proc = format!("/proc/{}", driven.child.id());
    let maps = std::fs::read_to_string(format!("{proc}/maps")).unwrap();
    let cold = maps.lines().find(|l| l.contains("memfd:swaptier-workload-cold")).unwrap();
    let start = u64::from_str_radix(cold.split('-').next().unwrap(), 16).unwrap();
    // The part begins at the first multiple of 2 MiB; the byte is in its fourth page.
    let address = start.next_multiple_of(2 << 20) + 3 * 4096 + 1234;
    let memory = std::fs::File::options().read(true).write(true).open(format!("{proc}/mem")).unwrap();
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address).unwrap();
    memory.write_all_at(&[byte[0] ^ 0x10], address).unwrap();
    assert_eq!(driven.command("verify").mismatches, 1);
    let (report, code) = driven.end();
    assert_eq!((report.mismatches, code), (1, Some(1)));
}
