//! What the probes read of the kernel's structures. Offsets come from the running kernel's BTF: the loader
//! writes them into frozen globals before the verifier sees the programs.

use core::arch::asm;

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel};

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub(crate) static $name: Global<u32> = Global::new(0);)+
    };
}

offsets! {
    /// BTF id of `struct zswap_entry`
    ZSWAP_ENTRY,
    /// BTF id of `struct mem_cgroup`
    MEM_CGROUP,
    /// BTF id of `struct obj_cgroup`
    OBJ_CGROUP,
    /// `zswap_entry.lru`
    ZSWAP_ENTRY_LRU,
    /// `zswap_entry.swpentry`
    ZSWAP_ENTRY_SWPENTRY,
    /// `zswap_entry.length`
    ZSWAP_ENTRY_LENGTH,
    /// `zswap_entry.objcg`
    ZSWAP_ENTRY_OBJCG,
    /// `mem_cgroup.id.id`
    MEM_CGROUP_ID,
    /// `mem_cgroup.css`
    MEM_CGROUP_CSS,
    /// `mem_cgroup.css.cgroup`
    MEM_CGROUP_CGROUP,
    /// `cgroup.kn`
    CGROUP_KN,
    /// `kernfs_node.id`
    KERNFS_NODE_ID,
    /// `obj_cgroup.memcg`
    OBJ_CGROUP_MEMCG,
    /// 1 where `folio.memcg_data` of an anonymous or shmem folio points at an `obj_cgroup`.
    MEMCG_DATA_IS_OBJCG,
    /// `folio.memcg_data`
    FOLIO_MEMCG_DATA,
    /// `folio.flags`
    FOLIO_FLAGS,
    /// `folio.swap`
    FOLIO_SWAP,
    /// `folio._nr_pages` or `folio._folio_nr_pages`
    FOLIO_NR_PAGES,
    /// Bit number of `PG_head`
    PG_HEAD,
    /// `swap_info_struct.type`
    SWAP_INFO_TYPE,
    /// `swap_info_struct.max`
    SWAP_INFO_MAX,
    /// Bytes of a `struct xarray`
    XARRAY_SIZE,
    /// `xarray.xa_head`
    XARRAY_HEAD,
    /// `xa_node.shift`
    XA_NODE_SHIFT,
    /// `xa_node.slots`
    XA_NODE_SLOTS,
    /// Slots of a node, a power of two
    XA_SLOTS,
}

/// Address of the kernel's `zswap_list_lru`.
#[unsafe(no_mangle)]
pub(crate) static ZSWAP_LIST_LRU: Global<u64> = Global::new(0);

/// Largest folio looked at page by page: 2 MiB of 4 KiB pages, one swap cluster.
pub(crate) const MAX_FOLIO: u32 = 512;

/// Low bits of `folio.memcg_data` that are flags (`__NR_MEMCG_DATA_FLAGS`, include/linux/memcontrol.h).
const MEMCG_DATA_FLAGS: u64 = 7;

/// Reads a kernel value of any type at a byte offset; `None` on a fault.
#[inline(always)]
pub(crate) fn read<T: Copy>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address itself and fails instead of faulting.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// Loads directly through a pointer the verifier knows the type of.
///
/// # Safety
/// `base` must be an argument of the traced function (or a pointer loaded from one) whose BTF type has a
/// member of type `T` at this offset.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(base: *const u8, offset: &Global<u32>) -> T {
    // SAFETY: as the caller promises; the kernel turns a bad address into a zero.
    unsafe { core::ptr::read_volatile(base.byte_add(offset.load() as usize).cast::<T>()) }
}

/// The structure at an address, by its BTF id: the kernel's `bpf_rdonly_cast`, which the verifier replaces by nothing.
/// [`load`] then reads its members without a helper. A call of a kernel function has the function's BTF id in it, and
/// only the loader knows that: it looks for this number (`CAST`, hooks/load.rs).
#[inline(always)]
pub(crate) fn cast(address: u64, structure: &Global<u32>) -> *const u8 {
    let cast: *const u8;
    // SAFETY: a call takes its arguments in r1 and r2, returns in r0 and may change all up to r5.
    unsafe {
        asm!(
            "call {number}",
            number = const swaptier_common::CAST,
            inlateout("r1") address => _,
            inlateout("r2") u64::from(structure.load()) => _,
            lateout("r0") cast,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    cast
}

/// The raw swap entry of a folio in the swap cache. `folio.swap` shares a union with `void *private`, which newer
/// verifiers take for a pointer. Negated twice it is a number to every one of them, and the same: two instructions instead
/// of a helper's fifty.
#[inline(always)]
pub(crate) fn folio_entry(folio: *const u8) -> u64 {
    // SAFETY: `folio` is an argument typed `struct folio *` or `struct page *`, which has this word there too.
    number(unsafe { load(folio, &FOLIO_SWAP) })
}

/// What the verifier takes for a pointer, as a number: it refuses to calculate with pointers.
#[inline(always)]
pub(crate) fn number(mut pointer: u64) -> u64 {
    // SAFETY: changes one register, which is told.
    unsafe { asm!("{0} = -{0}", "{0} = -{0}", inout(reg) pointer) };
    pointer
}

/// Pages of a folio, at most [`MAX_FOLIO`].
#[inline(always)]
pub(crate) fn folio_pages(folio: *const u8) -> u32 {
    // SAFETY: `folio` is an argument typed `struct folio *` or `struct page *`, whose first word is the flags.
    let flags: u64 = unsafe { load(folio, &FOLIO_FLAGS) };
    if flags >> (PG_HEAD.load() & 63) & 1 == 0 {
        return 1;
    }
    let pages = read::<u32>(folio as u64, FOLIO_NR_PAGES.load()).unwrap_or(1);
    if pages > MAX_FOLIO { MAX_FOLIO } else { pages }
}

/// A memory cgroup as the map names it.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    /// Index of its counters: the kernel's 16-bit id.
    pub(crate) index: u16,
    /// kernfs id of its directory.
    pub(crate) id: u64,
}

impl Owner {
    /// Pages charged to nobody; they belong to the root cgroup, whose directory has id 1.
    pub(crate) const ROOT: Self = Self { index: 0, id: 1 };

    /// The owner behind a typed `struct mem_cgroup *`, which may be null.
    #[inline(always)]
    pub(crate) fn of_memcg(memcg: *const u8) -> Self {
        if memcg.is_null() {
            return Self::ROOT;
        }
        // SAFETY: the verifier follows the types from the argument: mem_cgroup → cgroup → kernfs_node.
        unsafe {
            let cgroup: *const u8 = load(memcg, &MEM_CGROUP_CGROUP);
            let kn: *const u8 = load(cgroup, &CGROUP_KN);
            Self { index: load::<u32>(memcg, &MEM_CGROUP_ID) as u16, id: load(kn, &KERNFS_NODE_ID) }
        }
    }

    /// The owner behind a typed `struct obj_cgroup *`, which may be null.
    #[inline(always)]
    pub(crate) fn of_objcg(objcg: *const u8) -> Self {
        if objcg.is_null() {
            return Self::ROOT;
        }
        // SAFETY: a pointer to a `struct mem_cgroup` by its type.
        Self::of_memcg(unsafe { load(objcg, &OBJ_CGROUP_MEMCG) })
    }

    /// The owner a folio is charged to.
    #[inline(always)]
    pub(crate) fn of_folio(folio: *const u8) -> Self {
        memcg_of(folio).map_or(Self::ROOT, Self::of_memcg)
    }

    /// Index of its counters alone.
    #[inline(always)]
    pub(crate) fn index_of_folio(folio: *const u8) -> u16 {
        // SAFETY: a pointer to a `struct mem_cgroup` by its type.
        memcg_of(folio).map_or(Self::ROOT.index, |memcg| unsafe { load::<u32>(memcg, &MEM_CGROUP_ID) } as u16)
    }
}

/// The `struct mem_cgroup` a folio is charged to.
#[inline(always)]
fn memcg_of(folio: *const u8) -> Option<*const u8> {
    // SAFETY: `folio` is an argument typed `struct folio *` or `struct page *`, which has this word there too.
    let data: u64 = unsafe { load(folio, &FOLIO_MEMCG_DATA) };
    let address = data & !MEMCG_DATA_FLAGS;
    if address == 0 {
        None
    } else if MEMCG_DATA_IS_OBJCG.load() != 0 {
        // SAFETY: a pointer to a `struct obj_cgroup` by its type.
        Some(unsafe { load(cast(address, &OBJ_CGROUP), &OBJ_CGROUP_MEMCG) })
    } else {
        Some(cast(address, &MEM_CGROUP))
    }
}
