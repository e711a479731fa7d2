//! How often the kernel skipped a program because a preempted task was still inside it: `recursion_misses` of
//! `bpf_prog_info`, for which aya has no accessor.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `BPF_OBJ_GET_INFO_BY_FD` (include/uapi/linux/bpf.h).
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// Byte offset of `recursion_misses` in `struct bpf_prog_info`: part of the kernel's stable interface.
const RECURSION_MISSES: usize = 208;
/// Bytes of `struct bpf_prog_info` up to and with that field.
const INFO_BYTES: usize = RECURSION_MISSES + 8;

#[repr(C)]
struct InfoAttr {
    fd: u32,
    len: u32,
    info: u64,
}

/// Skipped runs of one program since it was loaded; `None` where the kernel does not tell.
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    let mut info = [0_u64; INFO_BYTES / 8];
    let attr =
        InfoAttr { fd: program.as_raw_fd() as u32, len: INFO_BYTES as u32, info: info.as_mut_ptr() as u64 };
    // SAFETY: the kernel writes at most `len` bytes to `info`, which lives through the call.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, &raw const attr, size_of::<InfoAttr>()) };
    (done == 0).then(|| info[RECURSION_MISSES / 8])
}
