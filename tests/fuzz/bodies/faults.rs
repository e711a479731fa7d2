//! What is true of the faults of any refused file. Used by the targets `policy` and `config`.

use swaptier_policies::Fault;

/// Each fault has a place in the text and can be printed: on one line, without control characters, not endless.
pub fn check(faults: &[Fault], text: &str) {
    assert!(!faults.is_empty(), "refused without a reason");
    assert!(faults.len() <= 101, "{} faults", faults.len());
    let lines: Vec<&str> = text.split('\n').collect();
    for fault in faults {
        let line = fault.line.checked_sub(1).and_then(|index| lines.get(index));
        let columns = line.map_or(0, |line| line.chars().count() + 1);
        assert!((1..=columns).contains(&fault.column), "no such place: {fault}");
        let shown = fault.to_string();
        assert!(shown.len() < 700, "{} bytes: {shown}", shown.len());
        let own = shown.replacen("\n  help: ", "", 1);
        assert!(!own.contains(char::is_control), "control characters: {shown:?}");
    }
}
