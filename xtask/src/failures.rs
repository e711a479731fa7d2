//! What tests that failed have printed, gathered from the lines of a guest so that the end of a long output shows it again.

/// Lines of a failure that are kept: the last.
const LAST: usize = 40;

/// A test that failed, or what a guest printed that never counted its tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The test's name; none where it did not end by itself.
    pub(crate) test: Option<String>,
    /// Its last lines.
    pub(crate) text: String,
}

/// Takes a guest's lines one by one.
#[derive(Default)]
pub(crate) struct Failures {
    /// Of the test that runs, or of the one that has failed.
    lines: Vec<String>,
    has_failed: bool,
    /// Of the one that has failed.
    test: Option<String>,
    found: Vec<Failure>,
}

impl Failures {
    /// Takes a line as it is shown: `7.2 | test a_claim ... FAILED (3.0s)`. The reasons follow it, indented.
    pub(crate) fn take(&mut self, line: String) {
        let said = line.split_once(" | ").map_or("", |(_, said)| said);
        let verdict = said.strip_prefix("test ").map(Verdict::of);
        if self.has_failed && !said.starts_with("    ") {
            self.keep();
        }
        self.lines.push(line);
        match verdict {
            Some(Verdict::Failed(test)) => (self.has_failed, self.test) = (true, test),
            Some(Verdict::Passed) => self.lines.clear(),
            None => {}
        }
    }

    /// The failures. Where the guest has not counted its tests, the one that ran then is one.
    pub(crate) fn end(mut self, has_counted: bool) -> Vec<Failure> {
        if self.has_failed || !has_counted && !self.lines.is_empty() {
            self.keep();
        }
        self.found
    }

    fn keep(&mut self) {
        self.has_failed = false;
        let lines = std::mem::take(&mut self.lines);
        let text = lines[lines.len().saturating_sub(LAST)..].join("\n");
        self.found.push(Failure { test: self.test.take(), text });
    }
}

/// What a line that begins with `test ` says of it.
enum Verdict {
    Passed,
    /// With the name of a test that came to its end; one that hung has none.
    Failed(Option<String>),
}

impl Verdict {
    /// `a_claim ... FAILED (3.0s)`; the time is what a hung test lacks.
    fn of(said: &str) -> Verdict {
        match said.split_once(" ... FAILED") {
            Some((name, rest)) => Verdict::Failed(rest.starts_with(" (").then(|| name.to_owned())),
            None => Verdict::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Failures};

    fn found(lines: &[&str], has_counted: bool) -> Vec<Failure> {
        let mut failures = Failures::default();
        lines.iter().for_each(|line| failures.take(format!(" 7.2 | {line}")));
        failures.end(has_counted)
    }

    fn of(lines: &[&str], has_counted: bool) -> Vec<String> {
        found(lines, has_counted).into_iter().map(|failure| failure.text).collect()
    }

    #[test]
    fn only_a_test_that_came_to_its_end_has_a_name() {
        let hung = "test second ... FAILED: no end after 300 s, the rest is not run";
        let lines = ["test first ... FAILED (1.0s)", "    why", hung, "0 passed, 2 failed"];
        let names: Vec<_> = found(&lines, true).into_iter().map(|failure| failure.test).collect();
        assert_eq!(names, [Some("first".to_owned()), None]);
        assert_eq!(found(&["    half"], false)[0].test, None);
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
        let text = &failures.end(false)[0].text;
        assert!(text.starts_with(" 7.2 | 60\n") && text.ends_with("\n 7.2 | 99"));
    }
}
