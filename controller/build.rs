//! Finds libblkid for the linker. Its development package has what `-lblkid` asks for; where that is missing, the library that
//! every host with util-linux has is linked to by a name of our own. Static programs need the package.

#![expect(clippy::disallowed_methods, reason = "a build looks for the library that it links")]

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let folders = [
        format!("/usr/lib/{arch}-linux-gnu"),
        format!("/lib/{arch}-linux-gnu"),
        "/usr/lib64".to_owned(),
        "/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/lib".to_owned(),
    ];
    let there =
        |name: &str| folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    if there("libblkid.so").or_else(|| there("libblkid.a")).is_some() {
        return;
    }
    let (Some(library), Some(out)) = (there("libblkid.so.1"), env::var_os("OUT_DIR").map(PathBuf::from))
    else {
        println!("cargo:warning=libblkid is not found: install what Debian calls libblkid-dev");
        return;
    };
    let link = out.join("libblkid.so");
    let _none_before = std::fs::remove_file(&link);
    match std::os::unix::fs::symlink(&library, &link) {
        Ok(()) => println!("cargo:rustc-link-search=native={}", out.display()),
        Err(error) => println!("cargo:warning={}: {error}", link.display()),
    }
}
