//! Coverage of kernels as their BTF describes them, and of the same kernels with one function taken away.

use std::collections::BTreeMap;

use super::{super::facts::Prototype, *};

fn facts(functions: &[(&str, &str, Returns)]) -> Facts {
    let functions = functions
        .iter()
        .map(|(name, parameters, returns)| {
            let parameters = parameters.split_whitespace().map(str::to_owned).collect();
            ((*name).to_owned(), Prototype { parameters, returns: *returns })
        })
        .collect();
    Facts { functions, globals: BTreeMap::new(), cast: 1 }
}

const COMMON: [(&str, &str, Returns); 12] = [
    ("memory_current_read", "css cft", Returns::Int),
    ("shrink_worker", "w", Returns::Void),
    ("list_lru_add", "lru item nid memcg", Returns::Bool),
    ("zswap_invalidate", "swp", Returns::Void),
    ("zswap_folio_swapin", "folio", Returns::Void),
    ("zswap_swapon", "type nr_pages", Returns::Int),
    ("zswap_swapoff", "type", Returns::Void),
    ("swap_show", "swap v", Returns::Int),
    ("zswap_load", "folio", Returns::Int),
    ("zswap_store", "folio", Returns::Bool),
    ("swapin_readahead", "entry gfp_mask vmf", Returns::Other),
    ("do_swap_page", "vmf", Returns::Int),
];

fn kernel(own: &[(&str, &str, Returns)]) -> Facts {
    facts(&[COMMON.as_slice(), own].concat())
}

/// 6.12: the allocation returns a structure and cannot be watched, frees come as ranges too.
fn older() -> Facts {
    kernel(&[
        ("__swap_writepage", "folio wbc", Returns::Void),
        ("swap_writepage", "page wbc", Returns::Int),
        ("folio_alloc_swap", "folio", Returns::Other),
        ("shrink_memcg_cb", "item l lock arg", Returns::Int),
        ("__mem_cgroup_try_charge_swap", "folio entry", Returns::Int),
        ("add_to_swap_cache", "folio entry gfp shadowp", Returns::Int),
        ("swap_entry_range_free", "si entry nr_pages", Returns::Void),
        ("free_swap_slot", "entry", Returns::Void),
    ])
}

/// 7.2.
fn newer() -> Facts {
    kernel(&[
        ("__swap_writepage", "folio swap_plug", Returns::Void),
        ("swap_writeout", "folio swap_plug", Returns::Int),
        ("folio_alloc_swap", "folio", Returns::Int),
        ("shrink_memcg_cb", "item l arg", Returns::Int),
    ])
}

/// 7.3: a context became the first argument.
fn newest() -> Facts {
    kernel(&[
        ("__swap_writepage", "ctx folio", Returns::Void),
        ("swap_writeout", "ctx folio", Returns::Int),
        ("folio_alloc_swap", "folio", Returns::Int),
        ("shrink_memcg_cb", "item l arg", Returns::Int),
    ])
}

/// 7.4, as its trees stand: what writes to the device has another name, and an entry of zswap names its pool by number.
fn coming() -> Facts {
    kernel(&[
        ("__swap_writeout", "ctx folio", Returns::Void),
        ("swap_writeout", "ctx folio", Returns::Int),
        ("folio_alloc_swap", "folio", Returns::Int),
        ("shrink_memcg_cb", "item l arg", Returns::Int),
    ])
}

fn programs(facts: &Facts) -> Vec<&'static str> {
    cover(facts, true, Preemption::OutsideLocks)
        .expect("covered")
        .attach
        .iter()
        .map(|attach| attach.program)
        .collect()
}

#[test]
fn each_kernel_gets_the_programs_of_its_prototypes() {
    let older = programs(&older());
    assert!(older.contains(&"mem_cgroup_try_charge_swap") && older.contains(&"swap_entry_range_free"));
    let newer = programs(&newer());
    assert!(newer.contains(&"folio_alloc_swap") && newer.contains(&"swap_writeout_exit"));
    let newest = programs(&newest());
    assert!(
        newest.contains(&"swap_writepage_device_second") && newest.contains(&"swap_writeout_exit_second")
    );
    assert!(!newest.contains(&"swap_writepage_device"), "its first argument is no folio: {newest:?}");
}

#[test]
fn what_writes_to_the_device_is_found_by_either_name() {
    let device = |facts: &Facts| {
        let attach = cover(facts, true, Preemption::OutsideLocks).expect("covered").attach;
        let found = attach.into_iter().find(|attach| attach.program.starts_with("swap_writepage_device"));
        found.map(|attach| (attach.program, attach.function))
    };
    let second = |function: &str| Some(("swap_writepage_device_second", function.to_owned()));
    assert_eq!(device(&newest()), second("__swap_writepage"));
    assert_eq!(device(&coming()), second("__swap_writeout"));
    assert_eq!(programs(&coming()), programs(&newest()), "all else is on the same functions");
}

#[test]
fn what_keeps_the_map_is_attached_twice_and_only_where_a_run_can_be_skipped() {
    let twice = |facts: &Facts, preemption| -> Vec<&str> {
        let attach = cover(facts, true, preemption).expect("covered").attach;
        attach.iter().filter(|attach| attach.copies == 2).map(|attach| attach.program).collect()
    };
    for facts in [older(), newer(), newest(), coming()] {
        let outside = twice(&facts, Preemption::OutsideLocks);
        let is_twice = |part: &str| outside.iter().any(|name| name.contains(part));
        assert!(is_twice("zswap_load") && is_twice("swap_writeout_exit"), "{outside:?}");
        assert!(!outside.iter().any(|name| name.contains("shrink") || name.contains("swapin")));
        assert_eq!(outside.contains(&"zswap_invalidate"), facts == older(), "it is called with a lock held");
        assert!(twice(&facts, Preemption::Anywhere).contains(&"zswap_invalidate"));
        assert_eq!(twice(&facts, Preemption::Never), Vec::<&str>::new());
    }
}

#[test]
fn where_zswaps_trees_cannot_be_looked_into_stores_are_attached_twice_and_it_is_said() {
    for has_trees in [true, false] {
        let coverage = cover(&newer(), has_trees, Preemption::OutsideLocks).expect("covered");
        let stores = coverage.attach.last().expect("some");
        assert_eq!((stores.program, stores.copies), ("list_lru_add", if has_trees { 1 } else { 2 }));
        assert!(stores.keeps_map);
        assert_eq!(coverage.lost.is_empty(), has_trees);
    }
}

#[test]
fn stores_are_attached_last() {
    for facts in [older(), newer(), newest(), coming()] {
        assert_eq!(programs(&facts).last(), Some(&"list_lru_add"));
    }
}

#[test]
fn one_function_less_is_either_refused_or_said() {
    for whole in [older(), newer(), newest(), coming()] {
        let full = cover(&whole, true, Preemption::OutsideLocks).expect("covered");
        assert_eq!(full.lost, Vec::<String>::new());
        let own = |name: &&String| !["swap_entry_range_free", "free_swap_slot"].contains(&name.as_str());
        for function in whole.functions.keys().filter(own) {
            let mut less = whole.clone();
            less.functions.remove(function);
            match cover(&less, true, Preemption::OutsideLocks) {
                Ok(coverage) if function == "folio_alloc_swap" && whole == older() => {
                    assert_eq!(coverage, full, "it was of no use there");
                }
                Ok(coverage)
                    if ["__mem_cgroup_try_charge_swap", "add_to_swap_cache"].contains(&&**function) =>
                {
                    assert_eq!(coverage.lost, full.lost, "the other stands in for it");
                }
                Ok(coverage) => assert_eq!(coverage.lost.len(), 1, "without {function}"),
                Err(missing) => assert!(!missing.is_empty(), "without {function}"),
            }
        }
    }
}

#[test]
fn a_function_that_changed_its_arguments_is_not_trusted() {
    let mut facts = older();
    let range = facts.functions.get_mut("swap_entry_range_free").expect("is there");
    range.parameters.insert(1, "ci".into());
    assert!(!programs(&facts).contains(&"swap_entry_range_free"));
    let mut facts = newer();
    facts.functions.get_mut("list_lru_add").expect("is there").parameters = vec!["lru".into(), "item".into()];
    assert_eq!(cover(&facts, true, Preemption::OutsideLocks), Err(vec!["pages stored in zswap".to_owned()]));
}
