//! Rare events: they wake the agent, and carry no more than it needs to know why.

/// What happened.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A swap area was switched on: `a` = type, `b` = slots.
    AreaOn = 1,
    /// A swap area was switched off: `a` = type.
    AreaOff = 2,
    /// Few free frames are left: `b` = how many.
    FramesLow = 3,
    /// The write-back alarm was reached: `b` = pages written back so far, all cgroups. It has a ring of its own.
    WriteBackAlarm = 4,
}

impl Kind {
    /// The kind with this number, if there is one.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::AreaOn,
            2 => Self::AreaOff,
            3 => Self::FramesLow,
            4 => Self::WriteBackAlarm,
            _ => return None,
        })
    }
}

/// One record of the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// A [`Kind`], as its number.
    pub kind: u32,
    /// First argument.
    pub a: u32,
    /// Second argument.
    pub b: u64,
}
