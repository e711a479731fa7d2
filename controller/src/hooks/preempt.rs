//! Where the running kernel may preempt a task, and so one that is inside a tracing program.
//!
//! It then skips the program for every other task on that CPU, so what keeps the map has to be attached twice. A kernel
//! with `none` or `voluntary` preemption switches tasks only where its code says so, which no program's does: one copy
//! misses nothing there, and costs half.

use crate::root::Root;

/// The model in force in parentheses among those to choose from: `none (voluntary) full` (`sched_dynamic_show`,
/// kernel/sched/debug.c). Root may write another at any time.
const MODEL: &str = "sys/kernel/debug/sched/preempt";

/// `1` on a kernel whose spinlocks let their holders be preempted (PREEMPT_RT; kernel/ksysfs.c).
const REALTIME: &str = "sys/kernel/realtime";

/// Where a task may be preempted, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preemption {
    /// Only where the kernel's code says so.
    Never,
    /// Wherever it holds no spinlock.
    OutsideLocks,
    /// With a spinlock held, too.
    Anywhere,
}

/// Where it may, as far as can be known: without the file of the model, outside of locks.
pub fn preemption(root: &Root) -> Preemption {
    if root.read(REALTIME).is_ok_and(|text| text.trim() == "1") {
        Preemption::Anywhere
    } else if root.read(MODEL).is_ok_and(|text| is_cooperative(&text)) {
        Preemption::Never
    } else {
        Preemption::OutsideLocks
    }
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
        assert_eq!(preemption(fake.root()), Preemption::OutsideLocks, "nothing is known");
        for (text, expected) in [
            ("none (voluntary) full\n", Preemption::Never),
            ("(none) voluntary full lazy\n", Preemption::Never),
            ("none voluntary (full)\n", Preemption::OutsideLocks),
            ("full (lazy)\n", Preemption::OutsideLocks),
            ("", Preemption::OutsideLocks),
        ] {
            fake.write(MODEL, text);
            assert_eq!(preemption(fake.root()), expected, "{text:?}");
        }
        fake.write(REALTIME, "1\n");
        assert_eq!(preemption(fake.root()), Preemption::Anywhere);
    }
}
