//! `cargo xtask vm`: one command in one guest, its output here, its exit code ours.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::guest::{Ending, Guest, Run};
use crate::{binaries, debian, kernel::NEWEST, setup, tmux};

/// Exit code of `xtask` when a guest's command ran into its limit, as timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// Exit code of `xtask` when the guest itself failed.
const GUEST_FAILED: u8 = 125;

/// Boots a guest and runs a command in it as root.
#[derive(Args)]
pub(crate) struct Vm {
    /// Kernel series: 6.1, 6.12, 6.18, 7.3 or any other Debian has.
    #[arg(long, default_value = NEWEST)]
    kernel: String,
    /// RAM in MiB.
    #[arg(long, default_value_t = 1024)]
    memory: u64,
    /// Virtual processors.
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// An empty disk of this size (512M, 1G); may be repeated: /dev/vda, /dev/vdb, …
    #[arg(long, value_parser = parse_size)]
    disk: Vec<u64>,
    /// Boots a Debian with systemd, and runs the command as a unit of its.
    #[arg(long)]
    systemd: bool,
    /// Added to the kernel's command line.
    #[arg(long, default_value = "")]
    append: String,
    /// Seconds the command may take.
    #[arg(long, default_value_t = 900)]
    timeout: u64,
    /// Puts a file into the guest; may be repeated.
    #[arg(long, value_name = "HOST:GUEST", value_parser = parse_file)]
    file: Vec<(PathBuf, String)>,
    /// Takes the guest's programs as they were last built.
    #[arg(long)]
    no_build: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the task and returns the process's exit code.
pub(crate) fn run(args: Vm) -> Result<u8> {
    setup::run()?;
    let programs = if args.no_build { binaries::built() } else { binaries::build()? };
    let guest = Guest {
        memory: args.memory,
        cpus: args.cpus,
        disks: args.disk,
        root: args.systemd.then(debian::image).transpose()?,
        append: args.append,
        limit: Duration::from_secs(args.timeout),
        command: args.command,
        programs,
        // A whole system has libraries of its own.
        files: args.file.into_iter().chain(if args.systemd { Vec::new() } else { tmux::files()? }).collect(),
        ..Guest::new(&args.kernel)
    };
    Ok(exit_code(&guest.run(to_stdout)?))
}

/// Exit code of a program that SIGPIPE ended, as a shell has it.
const READER_GONE: i32 = 141;

/// Passes a guest's output on at once. When nobody reads it any more, the guest ends with us.
pub(crate) fn to_stdout(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(READER_GONE);
    }
}

/// The exit code that tells how a guest ended.
pub(crate) fn exit_code(run: &Run) -> u8 {
    match run.ending {
        Ending::Exit(code) => u8::try_from(code).unwrap_or(GUEST_FAILED),
        Ending::TimedOut => TIMED_OUT,
        Ending::Died | Ending::NotBooted => GUEST_FAILED,
    }
}

/// `512M`, `1G`, or bytes.
fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        Some(b'T' | b't') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().with_context(|| format!("{text:?} is no size (512M, 1G)"))?;
    number.checked_mul(1 << shift).with_context(|| format!("{text} is too large"))
}

fn parse_file(text: &str) -> Result<(PathBuf, String)> {
    match text.split_once(':') {
        Some((host, inside)) if !host.is_empty() && inside.starts_with('/') => {
            Ok((host.into(), inside.to_owned()))
        }
        _ => bail!("{text:?} is not HOST:/GUEST"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_binary_and_checked() {
        assert_eq!(parse_size("512M").ok(), Some(512 << 20));
        assert_eq!(parse_size("4096").ok(), Some(4096));
        assert!(parse_size("G").is_err());
        // 2^44 T is 2^84 bytes: more than a u64 holds.
        assert!(parse_size("17592186044416T").is_err());
    }
}
