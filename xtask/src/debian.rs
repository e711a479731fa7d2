//! A Debian with systemd for a guest to boot: made once from the archive by mmdebstrap, verified with Debian's keyring,
//! kept under `target/lab/debian`. It is Debian's alone; what a run adds is copied in when it boots
//! (`guest/init-debian.sh`), and nothing that a guest writes comes back into the image. Called by `check.rs` and `vm.rs`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{Apt, Archive, KEYRING, Suite};
use crate::{paths, say, setup};

/// Which Debian.
const SUITE: Suite = Suite { name: "trixie", archive: Archive::Debian };
/// What is in it beside what every Debian has: the service manager, devices, users' sessions.
const PACKAGES: [&str; 10] = [
    "libbpf1",
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "dmsetup",
    "e2fsprogs",
    "libpam-systemd",
    "procps",
];
/// What nobody reads in there.
const LEFT_OUT: [&str; 3] = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*"];
/// Of the file system; the file is sparse.
const SIZE: &str = "1500M";
/// Makes the file system of a folder, without what is mounted there while packages are configured. A name given to `sh -c` is
/// its `$0`: the folder; the image is `$1`.
const MAKE: &str = r#"for at in proc sys dev; do umount -R -l "$0/$at" 2> /dev/null || :; done
exec mke2fs -q -F -t ext4 -m 0 -L root -d "$0" "$1" "#;

/// The image, made when it is not there or is of another recipe.
pub(crate) fn image() -> Result<PathBuf> {
    let dir = paths::lab().join("debian");
    let _lock = paths::lock("debian")?;
    let (image, stamp) = (dir.join("root.ext4"), dir.join("recipe"));
    let recipe = recipe();
    if image.is_file() && fs::read_to_string(&stamp).is_ok_and(|of| of == recipe) {
        return Ok(image);
    }
    say::step(&format!("a Debian with systemd for the guests ({}): made once, a minute or two", SUITE.name));
    paths::create(&dir)?;
    let unfinished = dir.join("unfinished.ext4");
    let _ = fs::remove_file(&unfinished);
    File::create(&unfinished).with_context(|| format!("creating {}", unfinished.display()))?;
    // Without root mmdebstrap works as a user of its own, who must be able to write it.
    fs::set_permissions(&unfinished, Permissions::from_mode(0o666)).context("opening the image for all")?;
    let mirror = Apt::open(SUITE)?.mirror()?;
    say::run("making the image", &mut mmdebstrap(&mirror, &unfinished)?).context(
        "without root mmdebstrap needs /etc/subuid, newuidmap (package uidmap) and a folder others may enter; \
         as root it needs none of that",
    )?;
    fs::rename(&unfinished, &image).with_context(|| format!("naming {}", image.display()))?;
    fs::write(&stamp, recipe).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(image)
}

/// What the image is made of: another one means another image.
fn recipe() -> String {
    format!("{} {PACKAGES:?} {LEFT_OUT:?} {SIZE} {MAKE}", SUITE.name)
}

fn mmdebstrap(mirror: &str, image: &Path) -> Result<Command> {
    let mut command = Command::new(setup::program("mmdebstrap")?);
    command.args(["--quiet", "--format=null", "--variant=essential", "--architectures=amd64"]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    for path in LEFT_OUT {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    command.arg(r#"--aptopt=Acquire::Languages "none""#);
    // mke2fs lives in sbin, which a user's PATH lacks.
    let make = format!("{MAKE}{SIZE}");
    let (make, image) = (setup::quoted(&make), setup::quoted(&image.to_string_lossy()));
    command.arg(format!(
        r#"--customize-hook=PATH=$PATH:/sbin:/usr/sbin unshare --mount sh -c {make} "$1" {image}"#
    ));
    command
        .args([SUITE.name, "/dev/null"])
        .arg(format!("deb [signed-by={KEYRING}] {mirror} {} main", SUITE.name));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_verified_and_the_image_written_where_it_is_told() {
        let Ok(command) = mmdebstrap("http://m.example/debian", Path::new("/a b/image")) else { return };
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let source = format!("deb [signed-by={KEYRING}] http://m.example/debian trixie main");
        assert_eq!(words.last(), Some(&source));
        let hook = words.iter().find(|word| word.starts_with("--customize-hook=")).expect("a hook");
        assert!(hook.ends_with(r#"1500M' "$1" '/a b/image'"#), "{hook}");
    }
}
