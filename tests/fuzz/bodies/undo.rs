//! The undo log as text: what it amounts to. Giving the values back is the target `restore`.

use std::path::Path;

use swaptier::journal::{UndoError, compact_log};

/// Reads the log in any boot, with and without patience for damage. What is left of it says the same when read again.
pub fn try_one(input: &[u8]) {
    let path = Path::new("undo.jsonl");
    for boot in [None, Some("one")] {
        let patient = match compact_log(input, boot, path, true) {
            Err(UndoError::Version { .. }) => continue,
            patient => patient.expect("damage is skipped"),
        };
        let again = compact_log(&patient, boot, path, false).expect("what is written is whole");
        assert!(again == patient, "another text: {}", String::from_utf8_lossy(&again));
        match compact_log(input, boot, path, false) {
            Ok(strict) => assert!(strict == patient, "damage was skipped that is none"),
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.contains("undo.jsonl:") && !shown.contains(char::is_control), "{shown:?}");
            }
        }
    }
}
