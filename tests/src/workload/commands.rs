//! Phases on demand: one command a line on stdin, one JSON line back. Parsing is pure; doing is [`Run`]'s.
//!
//! `touch PART [A..B]` · `write PART [A..B]` · `verify` · `pageout PART [A..B]` · `free PART` · `loops N` ·
//! `work SECONDS` · `fork` · `join` · `quit`. PART is hot, warm or cold; A..B are pages within it (B alone means 0..B), all without.
//! `work` loops for so long, and the closing line tells of the last of it alone. `fork` leaves a child that holds the present contents; `join` lets it verify them and end.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::drive::{Run, say};
use super::report::{Answer, faults};
use super::stop;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Touch(String, Pages),
    Write(String, Pages),
    PageOut(String, Pages),
    Free(String),
    Verify,
    Loops(u64),
    Work(u64),
    Fork,
    Join,
    Quit,
}

/// Pages of a part: all, or a range.
type Pages = Option<Range<usize>>;

/// A forked process that waits for the other end of the pipe to close before it verifies.
struct Child {
    pid: Pid,
    gate: OwnedFd,
}

/// Obeys commands until `quit`, the end of stdin or SIGTERM.
///
/// # Errors
/// Only when stdin or stdout fail; a command that cannot be done is answered with `error`.
pub(super) fn obey(run: &mut Run) -> Result<()> {
    let mut child = None;
    let mut lines = Lines::default();
    while let Some(line) = lines.next().context("reading commands")? {
        if line.trim().is_empty() {
            continue;
        }
        let (before, start) = (faults(), Instant::now());
        let command = parse(&line);
        let done = command.clone().and_then(|c| execute(run, c, &mut child).map_err(|e| format!("{e:#}")));
        let after = faults();
        say(&Answer {
            command: line.trim().to_owned(),
            pages: *done.as_ref().unwrap_or(&0),
            mismatches: run.mismatches(),
            minor_faults: after.0 - before.0,
            major_faults: after.1 - before.1,
            seconds: start.elapsed().as_secs_f64(),
            error: done.err(),
        })?;
        if command == Ok(Command::Quit) {
            break;
        }
    }
    if let Some(child) = child {
        child.join()?;
    }
    Ok(())
}

fn parse(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match words[..] {
        ["touch", part] => Command::Touch(part.into(), None),
        ["touch", part, pages] => Command::Touch(part.into(), Some(parse_pages(pages)?)),
        ["write", part] => Command::Write(part.into(), None),
        ["write", part, pages] => Command::Write(part.into(), Some(parse_pages(pages)?)),
        ["pageout", part] => Command::PageOut(part.into(), None),
        ["pageout", part, pages] => Command::PageOut(part.into(), Some(parse_pages(pages)?)),
        ["free", part] => Command::Free(part.into()),
        ["verify"] => Command::Verify,
        ["loops", count] => {
            Command::Loops(count.parse().map_err(|_| format!("`{count}` is no number of loops"))?)
        }
        ["work", seconds] => {
            Command::Work(seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?)
        }
        ["fork"] => Command::Fork,
        ["join"] => Command::Join,
        ["quit"] => Command::Quit,
        _ => {
            return Err(
                "no such command; there are: touch|write|pageout PART [A..B], free PART, verify, loops N, \
                        work SECONDS, fork, join, quit"
                    .into(),
            );
        }
    })
}

fn parse_pages(text: &str) -> Result<Range<usize>, String> {
    let number = |t: &str| {
        t.parse::<usize>().map_err(|_| format!("`{text}` is no range of pages; write 0..500 or 500"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if range.start > range.end { Err(format!("`{text}` ends before it begins")) } else { Ok(range) }
}

/// Does it; number of pages worked on.
fn execute(run: &mut Run, command: Command, child: &mut Option<Child>) -> Result<u64> {
    match command {
        Command::Touch(part, pages) => each(run, &part, pages, |part, index| part.touch(index)),
        Command::Write(part, pages) => each(run, &part, pages, |part, index| part.write(index)),
        Command::PageOut(part, pages) => {
            let (part, pages) = select(run, &part, pages)?;
            let count = pages.len() as u64;
            part.page_out(pages).map(|()| count)
        }
        Command::Free(name) => {
            select(run, &name, None)?;
            let slot = run.parts.iter_mut().find(|p| p.as_ref().is_some_and(|p| p.name == name));
            let part = slot.and_then(Option::take).context("the part exists: it was just selected")?;
            run.freed_mismatches += part.mismatches() as u64;
            Ok(part.pages() as u64)
        }
        Command::Verify => Ok(run.verify()),
        Command::Loops(count) => run.loops(count).map(|()| 0),
        Command::Work(seconds) => run.work_for(Duration::from_secs(seconds)).map(|()| 0),
        Command::Fork if child.is_some() => bail!("there is a child already: join it first"),
        Command::Fork if run.is_shared() => {
            bail!("shared memory shows a child the later writes: nothing to prove")
        }
        Command::Fork => {
            *child = Some(Child::fork(run)?);
            Ok(0)
        }
        Command::Join => child.take().context("there is no child to join")?.join(),
        Command::Quit => Ok(0),
    }
}

fn each(run: &mut Run, part: &str, pages: Pages, work: fn(&mut super::part::Part, usize)) -> Result<u64> {
    let (part, pages) = select(run, part, pages)?;
    let count = pages.len() as u64;
    pages.for_each(|index| work(part, index));
    Ok(count)
}

fn select<'a>(
    run: &'a mut Run,
    name: &str,
    pages: Pages,
) -> Result<(&'a mut super::part::Part, Range<usize>)> {
    let part = run.part(name).with_context(|| format!("there is no {name} part (any more)"))?;
    let pages = pages.unwrap_or(0..part.pages());
    if pages.end > part.pages() {
        bail!("the {name} part has {} pages", part.pages());
    }
    Ok((part, pages))
}

impl Child {
    fn fork(run: &mut Run) -> Result<Child> {
        let (wait, gate) = rustix::pipe::pipe().context("pipe")?;
        // SAFETY: the process has one thread, so the child may go on using everything.
        let pid = unsafe { libc::fork() };
        match Pid::from_raw(pid) {
            Some(pid) if pid.as_raw_nonzero().get() > 0 => Ok(Child { pid, gate }),
            None => {
                drop(gate);
                // Ends when the parent closes its end, or dies.
                let _ = rustix::io::read(&wait, &mut [0u8; 1][..]);
                let before = run.mismatches();
                run.verify();
                let code = i32::from(run.mismatches() > before);
                // SAFETY: ends the child at once, without running what the parent registered for its own end.
                unsafe { libc::_exit(code) }
            }
            Some(_) => Err(std::io::Error::last_os_error()).context("fork"),
        }
    }

    /// Lets the child verify; its pages are not counted again.
    fn join(self) -> Result<u64> {
        drop(self.gate);
        let (_, status) =
            waitpid(Some(self.pid), WaitOptions::empty())?.context("the child was waited for")?;
        match status.exit_status() {
            Some(0) => Ok(0),
            Some(_) => bail!("the child found pages that did not hold what they held at the fork"),
            None => bail!("the child was killed by signal {:?}", status.terminating_signal()),
        }
    }
}

/// Lines of stdin, read without a thread so that a signal ends the wait.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            let input = std::io::stdin();
            if !stop::wait_for(&input)? {
                return Ok(None);
            }
            let mut chunk = [0u8; 512];
            match rustix::io::read(&input, &mut chunk[..]) {
                Ok(0) => return Ok(None),
                Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_they_are_documented() {
        assert_eq!(parse("touch cold\n"), Ok(Command::Touch("cold".into(), None)));
        assert_eq!(parse(" write  warm 10..20"), Ok(Command::Write("warm".into(), Some(10..20))));
        assert_eq!(parse("pageout cold 500"), Ok(Command::PageOut("cold".into(), Some(0..500))));
        assert_eq!(parse("loops 7"), Ok(Command::Loops(7)));
        assert_eq!(parse("work 30"), Ok(Command::Work(30)));
    }

    #[test]
    fn a_wrong_command_is_answered_with_the_right_ones() {
        assert!(parse("tuoch cold").unwrap_err().contains("touch|write|pageout"));
        assert!(parse("touch cold 9..3").unwrap_err().contains("before it begins"));
        assert!(parse("touch cold x").unwrap_err().contains("0..500"));
        assert!(parse("loops many").unwrap_err().contains("many"));
    }
}
