//! `cargo xtask bench NAME`: one guest per kernel that measures something. What is measured is
//! `swaptier-guest bench`'s business (`tests/`); here its lines are passed on, with `--json` each with the kernel's
//! name and nothing else on stdout. Measurements that need no guest are run on this machine by `host`.

mod host;
mod selftests;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::guest::{Ending, Guest};
use crate::lines::Lines;
use crate::{binaries, kernel::NEWEST, say, setup, vm};

/// How long one guest may measure.
const LIMIT: Duration = Duration::from_secs(3000);

/// What is measured by counting instructions. It takes its time.
const COUNTED: &str = "cost";
/// How long such a guest may measure.
const COUNTED_LIMIT: Duration = Duration::from_secs(5400);

/// What runs on an installed system, with that system's own kernel.
const INSTALLED: &str = "selftests";

/// Measures something: in a guest per kernel, or on this machine where no kernel is needed (`scan`, `footprint`,
/// `record`, `top`).
#[derive(Args)]
pub(crate) struct Bench {
    /// What to measure.
    name: String,
    /// One JSON object a line on stdout, everything else on stderr.
    #[arg(long)]
    json: bool,
    /// Kernel series; may be repeated. Default: 6.12 and 7.3.
    #[arg(long)]
    kernel: Vec<String>,
    /// RAM of the guest in MiB.
    #[arg(long, default_value_t = 1024)]
    memory: u64,
    /// Takes the guest's programs as they were last built.
    #[arg(long)]
    no_build: bool,
    /// Arguments for `swaptier-guest bench NAME`.
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs the task and returns the process's exit code: the first bad one of the guests.
pub(crate) fn run(args: &Bench) -> Result<u8> {
    if host::NAMES.contains(&args.name.as_str()) {
        return host::run(args);
    }
    setup::run()?;
    let programs = if args.no_build { binaries::built() } else { binaries::build()? };
    let default = ["6.12".to_owned(), NEWEST.to_owned()];
    let kernels = match args.name.as_str() {
        INSTALLED if !args.kernel.is_empty() => {
            bail!("`bench {INSTALLED}` runs on its Debian's own kernel: it takes no --kernel")
        }
        INSTALLED => &default[..1],
        _ if args.kernel.is_empty() => &default[..],
        _ => &args.kernel,
    };
    let mut worst = 0;
    for kernel in kernels {
        let mut command = vec!["swaptier-guest".to_owned(), "bench".to_owned(), args.name.clone()];
        command.extend(args.json.then(|| "--json".to_owned()));
        command.extend(args.args.iter().cloned());
        let (of_name, programs) = (args.name.as_str(), programs.clone());
        let (guest, limit) = match of_name {
            COUNTED => (Guest { command, programs, ..Guest::counting(kernel) }, COUNTED_LIMIT),
            INSTALLED => (selftests::guest(command, programs)?, LIMIT),
            _ => (Guest { command, programs, ..Guest::with_disks(kernel) }, LIMIT),
        };
        let guest = Guest { limit, memory: args.memory, ..guest };
        let run = if args.json {
            let mut lines = Lines::new(|line: &str| match with_kernel(line, kernel) {
                Some(object) => println!("{object}"),
                None => eprintln!("{line}"),
            });
            guest.run(|bytes| lines.push(bytes))?
        } else {
            guest.run(vm::to_stdout)?
        };
        if run.ending != Ending::Exit(0) {
            say::note(&format!("kernel {kernel}: the measurement failed"));
        }
        worst = if worst == 0 { vm::exit_code(&run) } else { worst };
    }
    Ok(worst)
}

/// A line that is a JSON object, with the key `kernel`; `None` for any other line.
fn with_kernel(line: &str, kernel: &str) -> Option<String> {
    let line = line.trim();
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    if object.contains_key("kernel") {
        return Some(line.to_owned());
    }
    let rest = line.strip_prefix('{')?;
    let comma = if object.is_empty() { "" } else { "," };
    Some(format!("{{\"kernel\":\"{kernel}\"{comma}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::with_kernel;

    #[test]
    fn an_object_gets_the_kernel_unless_it_has_one_and_other_lines_are_none() {
        assert_eq!(with_kernel(r#"{"a":1}"#, "6.12").as_deref(), Some(r#"{"kernel":"6.12","a":1}"#));
        assert_eq!(with_kernel("{}", "6.12").as_deref(), Some(r#"{"kernel":"6.12"}"#));
        let own = r#"{"kernel":"6.12.117","a":1}"#;
        assert_eq!(with_kernel(own, "6.12").as_deref(), Some(own));
        assert_eq!(with_kernel("[1]", "6.12"), None);
        assert_eq!(with_kernel("progress 5 %", "6.12"), None);
    }
}
