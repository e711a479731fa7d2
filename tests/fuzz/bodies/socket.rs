//! The lines of the control socket, both ways.

use serde::Serialize;
use serde::de::DeserializeOwned;
use swaptier::serve::protocol::{Answer, Request};

/// Reads the line as each of the two. What is read says the same when it is written and read again.
pub fn try_one(input: &[u8]) {
    let line = String::from_utf8_lossy(input);
    same_again::<Request>(&line);
    same_again::<Answer>(&line);
}

fn same_again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(line: &str) {
    let Ok(message) = serde_json::from_str::<T>(line) else { return };
    let text = serde_json::to_string(&message).expect("a message can be written");
    assert!(!text.contains('\n'), "a message is one line");
    let again: T = serde_json::from_str(&text).expect("what was written is read");
    // A fraction may change in its last digit.
    assert!(text.contains('.') || again == message, "{message:?}\n{again:?}");
}
