//! What this kernel offers: prototypes of the functions that could be watched and offsets of the members the
//! probes read, all from `/sys/kernel/btf/vmlinux`. Reads, decides nothing.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use super::HookError;
use super::btf::{Btf, Kind, Type};

/// The kernel's own type information.
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Functions the probes may be attached to, on any kernel, or whose presence tells how others are called.
pub const FUNCTIONS: [&str; 22] = [
    "memory_current_read",
    "shrink_worker",
    "shrink_memcg_cb",
    "list_lru_add",
    "zswap_load",
    "zswap_store",
    "zswap_invalidate",
    "free_swap_slot",
    "zswap_folio_swapin",
    "zswap_swapon",
    "zswap_swapoff",
    "swap_show",
    "swap_entry_range_free",
    "swap_writeout",
    "swap_writepage",
    "__swap_writepage",
    "__swap_writeout",
    "folio_alloc_swap",
    "__mem_cgroup_try_charge_swap",
    "add_to_swap_cache",
    "swapin_readahead",
    "do_swap_page",
];

/// What a function returns, as far as the probes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing.
    Void,
    /// `bool`: only the low byte counts.
    Bool,
    /// Any other integer or an enum.
    Int,
    /// Something the kernel lets no program see (a structure by value), or that no probe reads.
    Other,
}

/// A function's prototype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// Parameter names, in order.
    pub parameters: Vec<String>,
    /// What it returns.
    pub returns: Returns,
}

/// All that is decided from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The functions of [`FUNCTIONS`] this kernel has.
    pub functions: BTreeMap<String, Prototype>,
    /// Values for the probes' globals, by name: byte offsets, BTF ids, one bit number, one flag.
    pub globals: BTreeMap<&'static str, u32>,
    /// BTF id of the function that gives an address a type.
    pub cast: u32,
}

/// Global of the probes ← path of the member: structure, then members, through anonymous ones.
const OFFSETS: [(&str, &str, &[&str]); 19] = [
    ("ZSWAP_ENTRY_LRU", "zswap_entry", &["lru"]),
    ("ZSWAP_ENTRY_SWPENTRY", "zswap_entry", &["swpentry"]),
    ("ZSWAP_ENTRY_LENGTH", "zswap_entry", &["length"]),
    ("ZSWAP_ENTRY_OBJCG", "zswap_entry", &["objcg"]),
    ("MEM_CGROUP_ID", "mem_cgroup", &["id", "id"]),
    ("MEM_CGROUP_CSS", "mem_cgroup", &["css"]),
    ("MEM_CGROUP_CGROUP", "mem_cgroup", &["css", "cgroup"]),
    ("CGROUP_KN", "cgroup", &["kn"]),
    ("KERNFS_NODE_ID", "kernfs_node", &["id"]),
    ("OBJ_CGROUP_MEMCG", "obj_cgroup", &["memcg"]),
    ("FOLIO_MEMCG_DATA", "folio", &["memcg_data"]),
    ("FOLIO_FLAGS", "folio", &["flags"]),
    ("FOLIO_SWAP", "folio", &["swap"]),
    ("FOLIO_NR_PAGES", "folio", &["_nr_pages"]),
    ("SWAP_INFO_TYPE", "swap_info_struct", &["type"]),
    ("SWAP_INFO_MAX", "swap_info_struct", &["max"]),
    ("XARRAY_HEAD", "xarray", &["xa_head"]),
    ("XA_NODE_SHIFT", "xa_node", &["shift"]),
    ("XA_NODE_SLOTS", "xa_node", &["slots"]),
];

/// Members that other kernels have elsewhere: where else they are looked for, in this order.
const OTHER_PLACES: [(&str, &[&str]); 1] = [("FOLIO_NR_PAGES", &["_folio_nr_pages"])];

/// Global of the probes ← the structure whose BTF id it is.
const STRUCTURES: [(&str, &str); 3] =
    [("ZSWAP_ENTRY", "zswap_entry"), ("MEM_CGROUP", "mem_cgroup"), ("OBJ_CGROUP", "obj_cgroup")];

/// The kernel's function that gives an address a type (kernel/bpf/helpers.c).
const CAST: &str = "bpf_rdonly_cast";

/// Names that are looked up by themselves.
const OTHERS: [&str; 2] = ["pageflags", CAST];

/// The facts of the kernel that runs, read once: a hundred thousand types are walked for it.
///
/// # Errors
/// No BTF, or a structure member is missing.
pub fn running() -> Result<&'static Facts, HookError> {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    if let Some(known) = FACTS.get() {
        return Ok(known);
    }
    let facts = read_facts(Path::new(VMLINUX_BTF))?;
    Ok(FACTS.get_or_init(|| facts))
}

fn read_facts(path: &Path) -> Result<Facts, HookError> {
    let unread = |why: String| HookError::Btf { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
    let structures = OFFSETS.iter().map(|(_, structure, _)| *structure);
    let names = structures.chain(STRUCTURES.iter().map(|(_, name)| *name)).chain(FUNCTIONS).chain(OTHERS);
    let btf = Btf::parse(bytes, names).map_err(|error| unread(error.to_string()))?;
    let functions =
        FUNCTIONS.iter().filter_map(|name| Some(((*name).to_owned(), prototype(&btf, name)?))).collect();
    let mut globals = BTreeMap::new();
    for (global, structure, members) in OFFSETS {
        let others = OTHER_PLACES.iter().filter(|(name, _)| *name == global).map(|(_, members)| *members);
        let offset = std::iter::once(members)
            .chain(others)
            .find_map(|members| member_offset(&btf, structure, members))
            .ok_or_else(|| HookError::Member(format!("{structure}.{}", members.join("."))))?;
        globals.insert(global, offset);
    }
    for (global, structure) in STRUCTURES {
        let id = self::structure(&btf, structure).map(|found| found.id);
        globals.insert(global, id.ok_or_else(|| HookError::Member(format!("struct {structure}")))?);
    }
    let size = structure(&btf, "xarray").map(|found| found.size());
    globals.insert("XARRAY_SIZE", size.ok_or_else(|| HookError::Member("struct xarray".into()))?);
    let slots = elements(&btf, "xa_node", "slots").filter(|slots| slots.is_power_of_two());
    globals.insert("XA_SLOTS", slots.ok_or_else(|| HookError::Member("xa_node.slots[]".into()))?);
    let cast = function(&btf, CAST).map(|found| found.id);
    let cast = cast.ok_or_else(|| HookError::Member(format!("{CAST}()")))?;
    let head = enumerator(&btf, "pageflags", "PG_head");
    globals.insert("PG_HEAD", head.ok_or_else(|| HookError::Member("enum pageflags.PG_head".into()))?);
    // Since folios are charged to object cgroups, the root cgroup has one too and says so in this member.
    let is_objcg = member_offset(&btf, "obj_cgroup", &["is_root"]).is_some();
    globals.insert("MEMCG_DATA_IS_OBJCG", u32::from(is_objcg));
    Ok(Facts { functions, globals, cast })
}

fn function<'a>(btf: &'a Btf, name: &str) -> Option<Type<'a>> {
    btf.named(name).find(|found| found.kind == Kind::Func)
}

fn prototype(btf: &Btf, name: &str) -> Option<Prototype> {
    let proto = btf.get(function(btf, name)?.leads_to()).filter(|found| found.kind == Kind::FuncProto)?;
    let parameters = proto.parameters().map(str::to_owned).collect();
    let returns = match proto.leads_to() {
        0 => Returns::Void,
        id => match btf.plain(id)? {
            int if int.is_bool() => Returns::Bool,
            other if matches!(other.kind, Kind::Int | Kind::Enum) => Returns::Int,
            _ => Returns::Other,
        },
    };
    Some(Prototype { parameters, returns })
}

/// The structure of this name that has members.
fn structure<'a>(btf: &'a Btf, name: &str) -> Option<Type<'a>> {
    btf.named(name).find(|found| found.kind == Kind::Struct && found.has_members())
}

/// Elements of a member that is an array.
fn elements(btf: &Btf, structure: &str, member: &str) -> Option<u32> {
    descend(btf, self::structure(btf, structure)?, member)?.1.elements()
}

/// Byte offset of `structure.a.b…`; anonymous members are looked through.
fn member_offset(btf: &Btf, structure: &str, members: &[&str]) -> Option<u32> {
    let mut bits = 0;
    let mut inside = self::structure(btf, structure);
    for member in members {
        let (offset, next) = descend(btf, inside?, member)?;
        bits += offset;
        inside = Some(next);
    }
    (bits % 8 == 0).then_some(bits / 8)
}

fn descend<'a>(btf: &'a Btf, found: Type<'a>, wanted: &str) -> Option<(u32, Type<'a>)> {
    found.members().find_map(|member| {
        let inner = btf.plain(member.id);
        match member.name {
            "" => descend(btf, inner?, wanted).map(|(bits, next)| (member.bit + bits, next)),
            name if name == wanted => Some((member.bit, inner?)),
            _ => None,
        }
    })
}

fn enumerator(btf: &Btf, name: &str, wanted: &str) -> Option<u32> {
    btf.named(name).find_map(|found| found.values().find(|(name, _)| *name == wanted)).map(|(_, value)| value)
}
