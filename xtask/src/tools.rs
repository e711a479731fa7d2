//! Programs of the Rust world that the lab uses: the machine's own where it is of the right version, or built once under
//! `target/lab`. Called by `deny.rs` and `package.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{paths, say};

/// A program that `cargo install` brings.
pub(crate) struct Tool {
    /// The package, and the program in it.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What its `--version` says.
    pub(crate) says: &'static str,
    /// More words for `cargo install`.
    pub(crate) how: &'static [&'static str],
}

impl Tool {
    /// Where it is.
    ///
    /// # Errors
    /// It cannot be built.
    pub(crate) fn get(&self) -> Result<PathBuf> {
        if self.is_it(Path::new(self.name)) {
            return Ok(self.name.into());
        }
        let _lock = paths::lock(self.name)?;
        let tools = paths::lab().join(format!("tools/{}-{}", self.name, self.version));
        let program = tools.join("bin").join(self.name);
        if !self.is_it(&program) {
            say::step(&format!("building {} {} (a minute, once)", self.name, self.version));
            let mut cargo = Command::new("cargo");
            // What optimizing takes is not won back.
            cargo
                .args(["install", self.name, "--debug", "--locked", "--version", self.version])
                .args(self.how);
            cargo.arg("--root").arg(&tools).arg("--target-dir").arg(paths::lab().join("tools/build"));
            say::run(&format!("building {}", self.name), cargo.env_remove("RUSTFLAGS"))?;
        }
        Ok(program)
    }

    fn is_it(&self, program: &Path) -> bool {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.stdout.trim_ascii() == self.says.as_bytes())
    }
}
