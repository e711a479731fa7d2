//! What the lab needs on this machine: finds what is missing, says it, installs it with apt where that is allowed,
//! else prints the exact line. Called by every task that boots a guest. Packages of the probes' toolchain are not
//! here but in `ebpf/`: only a rebuild of the probes may ask for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{apt, busybox, say};

/// Folders searched beside `PATH`: a user's `PATH` often lacks the sbin ones.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Something the lab needs and the Debian package that brings it.
struct Need {
    package: &'static str,
    why: &'static str,
    is_there: fn() -> bool,
}

const NEEDS: [Need; 10] = [
    Need { package: "busybox-static", why: "is the guests' shell", is_there: busybox::can_be_had },
    Need { package: "kmod", why: "resolves kernel modules", is_there: || has("depmod") },
    Need { package: "xz-utils", why: "unpacks kernel modules", is_there: || has("xz") },
    Need {
        package: "debian-archive-keyring",
        why: "verifies the kernels",
        is_there: || Path::new(apt::KEYRING).exists(),
    },
    Need { package: "debootstrap", why: "knows where Debian's kernels are", is_there: apt::is_mirror_known },
    Need {
        package: "mmdebstrap",
        why: "makes the guests' Debian with systemd",
        is_there: || has("mmdebstrap"),
    },
    Need { package: "e2fsprogs", why: "makes its file system", is_there: || has("mke2fs") },
    Need { package: "gcc", why: "links Rust programs", is_there: || has("cc") || has("gcc") },
    Need {
        package: "libc6-dev",
        why: "links the guests' static programs",
        is_there: || is_library("libc.a"),
    },
    Need {
        package: "libblkid-dev",
        why: "tells what a disk holds, in the guests' static programs too",
        is_there: || is_library("libblkid.a"),
    },
];

/// Makes sure that everything is there. Quick when it is.
///
/// # Errors
/// When something is missing and may not be installed from here: the message is the line to type.
pub(crate) fn run() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_there)()).collect();
    if !missing.is_empty() {
        say::step("set-up: something is missing");
        for need in &missing {
            say::note(&format!("{} ({})", need.package, need.why));
        }
        install(&missing.iter().map(|need| need.package).collect::<Vec<_>>())?;
        if let Some(need) = missing.iter().find(|need| !(need.is_there)()) {
            bail!("{} is installed, but what it is for is still missing: it {}", need.package, need.why);
        }
    }
    components()
}

/// rustup's minimal profile comes without rustfmt and clippy, which the tests run.
fn components() -> Result<()> {
    let works = |name: &str| {
        Command::new("cargo")
            .args([name, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> =
        [("fmt", "rustfmt"), ("clippy", "clippy")].iter().filter(|it| !works(it.0)).map(|it| it.1).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say::step(&format!("set-up: adding {} to the Rust toolchain", missing.join(" and ")));
    say::show("rustup component add", Command::new("rustup").args(["component", "add"]).args(missing))
}

/// Installs Debian packages, as root or through `sudo` when it asks for no password. Removes nothing.
///
/// # Errors
/// When neither is possible, with the line to type, or when apt fails.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let line = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !has("apt-get") {
        bail!("please install what Debian calls {}: there is no apt-get here", packages.join(", "));
    }
    let mut apt_get = match rights() {
        Rights::Root => Command::new("apt-get"),
        Rights::Sudo => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "apt-get"]);
            sudo
        }
        Rights::None => bail!("please run this, then try again:\n\n    sudo {line}\n"),
    };
    say::note(&line);
    let program = apt_get.get_program().to_owned();
    let first: Vec<_> = apt_get.get_args().map(ToOwned::to_owned).collect();
    let mut update = Command::new(program);
    // A list that cannot be refreshed (a third party's, say) need not matter: the installation decides.
    if let Err(error) = say::run("apt-get update", update.args(first).args(["-q", "update"])) {
        say::note(&format!("{error:#}"));
    }
    apt_get.env("DEBIAN_FRONTEND", "noninteractive");
    apt_get.args(["-q", "-y", "install", "--no-install-recommends", "--no-remove"]).args(packages);
    say::run("apt-get install", &mut apt_get).with_context(|| format!("the line was: {line}"))?;
    Ok(())
}

enum Rights {
    Root,
    Sudo,
    None,
}

fn rights() -> Rights {
    let says = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() == b"0")
    };
    if says("id", &["-u"]) {
        Rights::Root
    } else if has("sudo") && says("sudo", &["-n", "id", "-u"]) {
        Rights::Sudo
    } else {
        Rights::None
    }
}

/// Finds a program on `PATH` or where system programs live.
///
/// # Errors
/// When it is nowhere.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(FOLDERS.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!("the program {name} is missing (`cargo xtask setup` installs what is needed)")
    })
}

/// One word of a shell's, whatever it holds.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn has(name: &str) -> bool {
    program(name).is_ok()
}

fn is_library(name: &str) -> bool {
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"].iter().any(|it| Path::new(it).join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_survives_the_shell_whatever_it_holds() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
