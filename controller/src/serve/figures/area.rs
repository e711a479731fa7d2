//! Numbers of each swap area, and of the disk under a virtual one.

use super::{
    Figure,
    Unit::{Bytes, Pages, Things},
    gauge, maybe, sure,
};
use crate::serve::status::AreaStatus as Area;

/// The rows.
pub const ROWS: &[Figure<Area>] = &[
    gauge("size_bytes", Bytes, |a: &Area| sure(a.size_bytes), "Its slots.").metric("area_size", "Size of a swap area."),
    gauge("used_bytes", Bytes, |a: &Area| sure(a.used_bytes), "Slots in use, wherever the pages are.")
        .metric("area_used", "Slots of a swap area in use, wherever the pages are."),
    gauge("priority", Things, |a: &Area| Some(f64::from(a.priority)), "Higher is used first.")
        .metric("area_priority", "Priority of a swap area; higher is used first."),
    gauge("slots", Pages, |a: &Area| sure(a.slots), "Pages it can hold."),
    gauge("used_slots", Pages, |a: &Area| sure(a.used_slots), "Slots in use."),
    gauge("zswap_pages", Pages, |a: &Area| maybe(a.zswap_pages), "Its pages in zswap, by the map."),
    gauge("phys_pages", Pages, |a: &Area| maybe(a.phys_pages), "Its pages on the device, by the map."),
    gauge("pinned_pages", Pages, |a: &Area| maybe(a.pinned_pages), "Pages whose place on the disk is kept while they are in zswap."),
    gauge("pool.used_bytes", Bytes, |a: &Area| sure(a.pool.as_ref()?.used_bytes), "Bytes on disk that blocks in use take."),
    gauge("pool.total_bytes", Bytes, |a: &Area| sure(a.pool.as_ref()?.total_bytes), "Bytes on disk there are."),
    gauge("pool.headroom_bytes", Bytes, |a: &Area| sure(a.pool.as_ref()?.headroom_bytes), "Bytes on disk that can be written until demotion stops."),
    gauge("pool.used_blocks", Things, |a: &Area| sure(a.pool.as_ref()?.used_blocks), "Blocks of data in use."),
    gauge("pool.used_metadata_blocks", Things, |a: &Area| sure(a.pool.as_ref()?.used_metadata_blocks), "Blocks of metadata in use."),
    gauge("pool.total_metadata_blocks", Things, |a: &Area| sure(a.pool.as_ref()?.total_metadata_blocks), "Blocks of metadata there are."),
    gauge("pool.amplification", Things, |a: &Area| a.pool.as_ref()?.amplification, "Bytes on disk for each original byte on disk."),
];
