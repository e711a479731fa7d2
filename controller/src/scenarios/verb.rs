//! What a line of a scenario has done. Pure.
//!
//! Paths are absolute, as on a host. Bytes that are no text are written as swaptier shows them (`\xe9`), in paths and in
//! values on the same line; a path with spaces stands between quotation marks.

use swaptier_policies::path::text::bytes_of;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verb {
    /// By others than swaptier.
    Deed(Deed),
    /// Writes to this file, which did not return, do now.
    Release(Path),
    /// Starts an agent, which sees the host and decides once.
    Start(Start),
    /// Ticks of the agent.
    Tick(u32),
    /// A command, beside the agent if there is one.
    Swaptier(Vec<String>),
    /// Ends the agent as SIGTERM does.
    Stop,
    /// Ends the agent as SIGKILL does.
    Kill,
}

/// What is done to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Somebody writes a file; it is made where there is none.
    Write(Path, Vec<u8>),
    /// A file says this by now, and nobody wishes it: so the kernel rounded a value, or a dead agent left it.
    Becomes(Path, Vec<u8>),
    /// Makes a folder. In the cgroup tree it is a cgroup, with the files that the kernel makes in it.
    MakeDir(Path),
    /// Removes a file, or a folder with all that is in it.
    Remove(Path),
    /// Gives a file or folder these rights.
    Mode(Path, u32),
    /// From now on writes to this file do not return.
    Hang(Path),
    /// At the end this file need not say what it would without swaptier.
    Leaves(Path),
}

/// A path below the root.
pub(super) type Path = Vec<u8>;

/// How an agent is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) dry_run: bool,
    pub(super) config: Option<String>,
}

impl Verb {
    /// Reads a line, and the text that stands under it.
    pub(super) fn parse(act: &str, text: Option<&str>) -> Result<Verb, String> {
        let (name, rest) = act.split_once(' ').unwrap_or((act, ""));
        let rest = rest.trim();
        if text.is_some() && !["write", "becomes"].contains(&name) {
            return Err(format!("{name} takes no text"));
        }
        match (name, rest) {
            ("write" | "becomes", rest) => {
                let (path, value) = path_and(rest)?;
                let text = match (text, value) {
                    (Some(text), "") => text.as_bytes().to_vec(),
                    (Some(_), _) => return Err("a value beside the text under it".to_owned()),
                    (None, "") => Vec::new(),
                    (None, value) => bytes_of(&format!("{value}\n")),
                };
                let make = if name == "write" { Deed::Write } else { Deed::Becomes };
                Ok(Verb::Deed(make(path, text)))
            }
            ("mkdir", path) => Ok(Verb::Deed(Deed::MakeDir(path_of(path)?))),
            ("rm", path) => Ok(Verb::Deed(Deed::Remove(path_of(path)?))),
            ("chmod", rest) => {
                let (mode, path) = rest.split_once(' ').ok_or("chmod MODE PATH")?;
                let mode = u32::from_str_radix(mode, 8).map_err(|_| format!("{mode} is no mode"))?;
                Ok(Verb::Deed(Deed::Mode(path_of(path)?, mode)))
            }
            ("hang", path) => Ok(Verb::Deed(Deed::Hang(path_of(path)?))),
            ("release", path) => Ok(Verb::Release(path_of(path)?)),
            ("leaves", path) => Ok(Verb::Deed(Deed::Leaves(path_of(path)?))),
            ("start", rest) => Start::parse(rest).map(Verb::Start),
            ("tick", "") => Ok(Verb::Tick(1)),
            ("tick", times) => times.parse().map(Verb::Tick).map_err(|_| format!("{times} is no number")),
            ("swaptier", rest) => Ok(Verb::Swaptier(rest.split_whitespace().map(str::to_owned).collect())),
            ("stop", "") => Ok(Verb::Stop),
            ("kill", "") => Ok(Verb::Kill),
            _ => Err(format!("nobody can do this: {act}")),
        }
    }
}

impl Start {
    fn parse(rest: &str) -> Result<Start, String> {
        let mut start = Start::default();
        let mut words = rest.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "--dry-run" => start.dry_run = true,
                "--config" => start.config = Some(words.next().ok_or("--config FILE")?.to_owned()),
                other => return Err(format!("an agent does not take {other} here")),
            }
        }
        Ok(start)
    }
}

/// The path that a line goes on with, and what follows.
fn path_and(rest: &str) -> Result<(Path, &str), String> {
    let (path, behind) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("a quotation mark is missing")?,
        None => rest.split_once(' ').unwrap_or((rest, "")),
    };
    match path.strip_prefix('/') {
        Some(path) if !path.is_empty() => Ok((bytes_of(path), behind.trim_start())),
        _ => Err(format!("{path:?} is no absolute path")),
    }
}

fn path_of(rest: &str) -> Result<Path, String> {
    match path_and(rest)? {
        (path, "") => Ok(path),
        (_, more) => Err(format!("{more:?} follows the path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_what_they_do() {
        let read = |act: &str| Verb::parse(act, None).unwrap();
        assert_eq!(read("write /a/b 1 2"), Verb::Deed(Deed::Write(b"a/b".to_vec(), b"1 2\n".to_vec())));
        assert_eq!(read(r"mkdir /a/caf\xe9"), Verb::Deed(Deed::MakeDir(b"a/caf\xe9".to_vec())));
        assert_eq!(read("rm \"/a/b c\""), Verb::Deed(Deed::Remove(b"a/b c".to_vec())));
        assert_eq!(read("chmod 400 /a"), Verb::Deed(Deed::Mode(b"a".to_vec(), 0o400)));
        assert_eq!((read("tick"), read("tick 5")), (Verb::Tick(1), Verb::Tick(5)));
        let start = Start { dry_run: true, config: Some("/x".to_owned()) };
        assert_eq!(read("start --dry-run --config /x"), Verb::Start(start));
        let text = Verb::parse("becomes /a", Some("x\n"));
        assert_eq!(text, Ok(Verb::Deed(Deed::Becomes(b"a".to_vec(), b"x\n".to_vec()))));
    }

    #[test]
    fn what_nobody_can_do_is_a_fault() {
        for act in [
            "dance",
            "tick often",
            "write a 1",
            "rm /",
            "rm",
            "rm /a b",
            "chmod 9 /a",
            "start --fast",
            "stop now",
        ] {
            assert!(Verb::parse(act, None).is_err(), "{act}");
        }
        assert!(Verb::parse("tick", Some("x")).is_err());
        assert!(Verb::parse("write /a 1", Some("x")).is_err());
    }
}
