//! Whether the running kernel may preempt a task inside a tracing program.
//!
//! It then skips the program for every other task on that CPU, so what keeps the map has to be attached twice. A kernel
//! with `none` or `voluntary` preemption switches tasks only where its code says so, which no program's does: one copy
//! misses nothing there, and costs half.

use crate::root::Root;

/// The model in force in parentheses among those to choose from: `none (voluntary) full` (`sched_dynamic_show`,
/// kernel/sched/debug.c). Root may write another at any time.
const MODEL: &str = "sys/kernel/debug/sched/preempt";

/// Whether it may, as far as can be known: without the file, yes.
pub fn can_preempt(root: &Root) -> bool {
    root.read(MODEL).map_or(true, |text| !is_cooperative(&text))
}

fn is_cooperative(text: &str) -> bool {
    text.split_ascii_whitespace().any(|word| word == "(none)" || word == "(voluntary)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn only_a_kernel_that_says_so_needs_no_second_copy() {
        let fake = FakeRoot::host();
        assert!(can_preempt(fake.root()), "nothing is known");
        for (text, expected) in [
            ("none (voluntary) full\n", false),
            ("(none) voluntary full lazy\n", false),
            ("none voluntary (full)\n", true),
            ("full (lazy)\n", true),
            ("", true),
        ] {
            fake.write(MODEL, text);
            assert_eq!(can_preempt(fake.root()), expected, "{text:?}");
        }
    }
}
