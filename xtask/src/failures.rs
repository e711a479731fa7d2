//! What tests that failed have printed, gathered from the lines of a guest so that the end of a long output shows it again.

/// Lines of a failure that are kept: the last.
const LAST: usize = 40;

/// Takes a guest's lines one by one.
#[derive(Default)]
pub(crate) struct Failures {
    /// Of the test that runs, or of the one that has failed.
    lines: Vec<String>,
    has_failed: bool,
    texts: Vec<String>,
}

impl Failures {
    /// Takes a line as it is shown: `7.2 | test a_claim ... FAILED (3.0s)`. The reasons follow it, indented.
    pub(crate) fn take(&mut self, line: String) {
        let said = line.split_once(" | ").map_or("", |(_, said)| said);
        let is_verdict = said.starts_with("test ");
        if self.has_failed && !said.starts_with("    ") {
            self.keep();
        }
        let has_failed = is_verdict && said.contains(" ... FAILED");
        self.lines.push(line);
        if has_failed {
            self.has_failed = true;
        } else if is_verdict {
            self.lines.clear();
        }
    }

    /// A text for each failure. Where the guest has not counted its tests, the one that ran then is one.
    pub(crate) fn end(mut self, has_counted: bool) -> Vec<String> {
        if self.has_failed || !has_counted && !self.lines.is_empty() {
            self.keep();
        }
        self.texts
    }

    fn keep(&mut self) {
        self.has_failed = false;
        let lines = std::mem::take(&mut self.lines);
        self.texts.push(lines[lines.len().saturating_sub(LAST)..].join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::Failures;

    fn of(lines: &[&str], has_counted: bool) -> Vec<String> {
        let mut failures = Failures::default();
        lines.iter().for_each(|line| failures.take(format!(" 7.2 | {line}")));
        failures.end(has_counted)
    }

    #[test]
    fn a_failure_is_what_its_test_printed_and_why() {
        let lines = [
            "    of the first",
            "test first ... ok (1.0s)",
            "    of the second",
            "test second ... FAILED (2.0s)",
            "    why",
            "        and why that",
            "    of the third",
            "test third ... FAILED (2.0s)",
            "    why not",
            "1 passed, 2 failed",
        ];
        let second = " 7.2 |     of the second\n 7.2 | test second ... FAILED (2.0s)\n 7.2 |     why\n 7.2 |         and why that";
        let found = of(&lines, true);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(second), "{found:?}");
        assert!(found[1].ends_with("test third ... FAILED (2.0s)\n 7.2 |     why not"), "{found:?}");
        assert!(of(&lines[..2], true).is_empty());
    }

    #[test]
    fn a_test_that_never_ended_has_failed() {
        assert_eq!(of(&["test first ... ok (1.0s)", "    half"], false), [" 7.2 |     half"]);
        assert!(of(&["test first ... ok (1.0s)", "1 passed, 0 failed"], true).is_empty());
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut failures = Failures::default();
        (0..100).for_each(|nth| failures.take(format!(" 7.2 | {nth}")));
        let texts = failures.end(false);
        assert!(texts[0].starts_with(" 7.2 | 60\n") && texts[0].ends_with("\n 7.2 | 99"));
    }
}
