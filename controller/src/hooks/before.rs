//! The program that walks zswap's trees (`ebpf/src/before.rs`): loaded, attached to nothing, and run from here, a part of an
//! area at a time. What is walked, and when, is `map::before`'s affair.

use std::ops::Range;

use aya::{
    Ebpf,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use swaptier_common::slot::TYPE_SHIFT;

use super::HookError;

/// The program's name, in `ebpf/` and in the kernel.
const PROGRAM: &str = "zswap_before";

/// The program, in the kernel.
pub struct Trees<'a> {
    program: &'a RawTracePoint,
}

impl<'a> Trees<'a> {
    /// Loads it, if that is not done yet. Its object stays its owner.
    pub(super) fn load(ebpf: &'a mut Ebpf) -> Result<Self, HookError> {
        let program = ebpf.program_mut(PROGRAM).ok_or(HookError::Map(PROGRAM))?;
        let program: &mut RawTracePoint = program.try_into().map_err(error)?;
        if program.fd().is_err() {
            program.load().map_err(error)?;
        }
        Ok(Self { program })
    }

    /// Enters what zswap has of these slots of an area and the map does not know; `is_again`: looks again at what was
    /// entered so. Returns how many slots were passed, from the first on: no more than a millisecond's work.
    ///
    /// # Errors
    /// The kernel does not run it.
    pub fn run(&self, kind: u32, slots: Range<u64>, is_again: bool) -> Result<u64, HookError> {
        let entry = |offset: u64| u64::from(kind) << TYPE_SHIFT | offset;
        let mut options = RawTracePointRunOptions::new();
        options.args[..3].copy_from_slice(&[entry(slots.start), entry(slots.end), u64::from(is_again)]);
        let passed = self.program.test_run(options).map_err(error)?.return_value;
        Ok(u64::from(passed))
    }
}

fn error(source: aya::programs::ProgramError) -> HookError {
    HookError::Program { program: PROGRAM, function: "zswap's trees".to_owned(), source }
}
