//! The shipped policies of the demonstration, put where operators put theirs. The agent's next start reads them.

use std::path::Path;

use anyhow::{Context, Result};

/// Where operators put policies.
const FOLDER: &str = "/etc/swaptier/policies.d";
/// Shipped examples, as they are in the repository.
const SHIPPED: [(&str, &str); 2] = [
    ("demo-cold.toml", include_str!("../../../policies/demo-cold.toml")),
    ("demo-hot.toml", include_str!("../../../policies/demo-hot.toml")),
];

/// Guard of the installed files: removed at drop, so that other tests run without policies.
#[derive(Debug)]
pub struct Policies(());

impl Policies {
    /// Writes the files.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn install() -> Result<Policies> {
        let folder = Path::new(FOLDER);
        std::fs::create_dir_all(folder).with_context(|| format!("creating {FOLDER}"))?;
        for (name, contents) in SHIPPED {
            std::fs::write(folder.join(name), contents)
                .with_context(|| format!("writing {FOLDER}/{name}"))?;
        }
        Ok(Policies(()))
    }
}

impl Drop for Policies {
    fn drop(&mut self) {
        for (name, _) in SHIPPED {
            // Gone is as good.
            let _ = std::fs::remove_file(Path::new(FOLDER).join(name));
        }
    }
}
