//! How many slots there are to be: cases with their sums, and laws.

use proptest::prelude::*;

use super::*;
use crate::growth::{Growth, MOST_AREAS, Short, SlotCost, Wanted, growth};

/// 3.1 B a slot, as measured on 6.12: 3.1 × 2^20 = 3,250,586 B for each 2^20.
const DEAR: SlotCost = SlotCost(3_250_586);
/// 0.09 B a slot, as measured on 7.2.
const CHEAP: SlotCost = SlotCost(94_372);

/// 256 GiB worth of slots, and a budget of 40 MiB.
fn wanted(cost: SlotCost) -> Wanted {
    Wanted { useful: Pages(256 * GIB / 4096), budget: Bytes(40 * MIB), cost }
}

fn piece(n: i32, slots: Pages, used: u64) -> AreaView {
    AreaView { slots, used: Pages(used), ..area(&format!("g{n}"), AreaKind::Virtual, -n) }
}

/// Decides after the areas have looked like this for so many seconds.
fn after(family: &[AreaView], seconds: u64, wanted: &Wanted) -> Growth {
    let (mut history, mut snap) = (History::default(), host());
    snap.host.areas = family.to_vec();
    for at in [1_000, 1_000 + seconds] {
        snap.at = Seconds(at);
        history.watch(&snap);
    }
    let family: Vec<&AreaView> = family.iter().collect();
    growth(&family, family.len(), wanted, &history, snap.at)
}

#[test]
fn where_slots_are_as_good_as_free_one_area_has_all_of_them() {
    // 67,108,864 slots at 0.09 B are 5.8 MiB, below 40 MiB.
    assert_eq!(CHEAP.of(Pages(1 << 26)), Bytes(94_372 * 64));
    assert_eq!(after(&[], 0, &wanted(CHEAP)), Growth::Add(Pages(1 << 26)));
    assert_eq!(after(&[piece(0, Pages(1 << 26), (1 << 26) - 1)], 0, &wanted(CHEAP)), Growth::Enough);
}

#[test]
fn where_they_cost_they_come_in_pieces_before_they_run_short() {
    // 67,108,864 slots at 3.1 B are 198 MiB. An eighth of 40 MiB has 5 MiB / 3.1 B = 1,691,251 slots: 2^20 is the piece.
    let (wanted, size) = (wanted(DEAR), Pages(1 << 20));
    assert_eq!(after(&[], 0, &wanted), Growth::Add(size));
    // Half a piece free is enough, one slot less is not.
    assert_eq!(after(&[piece(0, size, 1 << 19)], 0, &wanted), Growth::Enough);
    assert_eq!(after(&[piece(0, size, (1 << 19) + 1)], 0, &wanted), Growth::Add(size));
}

#[test]
fn the_budget_ends_growth_with_its_numbers() {
    // 12 pieces of 3,250,586 B are 37.2 MiB, 13 are 40.3 MiB.
    let (wanted, size) = (wanted(DEAR), Pages(1 << 20));
    let full: Vec<AreaView> = (0..12).map(|n| piece(n, size, 1 << 20)).collect();
    let short = Short::Budget { needed: Bytes(13 * 3_250_586), budget: Bytes(40 * MIB) };
    assert_eq!(after(&full, 0, &wanted), Growth::Short(short));
    assert_eq!(short.to_string(), "more slots would take 40.3 MiB of kernel memory, the budget is 40.0 MiB");
}

#[test]
fn a_budget_below_one_piece_is_told_before_anything_is_made() {
    let poor = Wanted { budget: Bytes(1000), ..wanted(DEAR) };
    // The least piece, 65,536 slots, takes 3,250,586 / 16 = 203,161.6 B.
    let short = Short::Piece { needed: Bytes(203_162), budget: Bytes(1000) };
    assert_eq!(after(&[], 0, &poor), Growth::Short(short));
}

#[test]
fn the_kernels_areas_are_counted_whosever_they_are() {
    let (snap, history) = (host(), History::default());
    let grown = growth(&[], MOST_AREAS, &wanted(DEAR), &history, snap.at);
    assert_eq!(grown, Growth::Short(Short::Areas { on: MOST_AREAS }));
}

#[test]
fn the_last_piece_goes_when_it_has_long_been_empty_and_is_not_missed() {
    let (wanted, size) = (wanted(DEAR), Pages(1 << 20));
    let pieces = |used| [piece(0, size, used), piece(1, size, 0), piece(2, size, 0)];
    let drain = Growth::Drain("g2".to_owned());
    assert_eq!(after(&pieces(1 << 20), 600, &wanted), drain);
    assert_eq!(after(&pieces(1 << 20), 599, &wanted), Growth::Enough);
    // Without the second one less than a whole piece would be free.
    assert_eq!(after(&pieces(1 << 20)[..2], 600, &wanted), Growth::Enough);
    assert_eq!(after(&pieces(0)[..1], 600, &wanted), Growth::Enough, "the only one stays");
}

#[test]
fn what_a_slot_costs_reads_as_bytes() {
    assert_eq!((DEAR.to_string(), CHEAP.to_string()), ("3.101 B".to_owned(), "0.091 B".to_owned()));
}

proptest! {
    #[test]
    fn adding_stays_within_the_budget_and_settles(
        useful in 1u64..1 << 34, budget in 0u64..1 << 34, cost in 0u64..1 << 24,
        uses in proptest::collection::vec(0u64..=100, 0..6),
    ) {
        let wanted = Wanted { useful: Pages(useful), budget: Bytes(budget), cost: SlotCost(cost) };
        let size = wanted.piece();
        let used = |percent: u64| (u128::from(size.0) * u128::from(percent) / 100) as u64;
        let mut family: Vec<AreaView> =
            uses.iter().zip(0..).map(|(percent, n)| piece(n, size, used(*percent))).collect();
        if let Growth::Add(more) = after(&family, 10_000, &wanted) {
            let slots: u64 = family.iter().map(|area| area.slots.0).sum::<u64>() + more.0;
            prop_assert!(wanted.cost.of(Pages(slots)) <= wanted.budget);
            prop_assert!(slots <= useful && more.0 > 0);
            family.push(piece(99, more, 0));
            let again = after(&family, 0, &wanted);
            prop_assert!(!matches!(again, Growth::Drain(_)), "{again:?}");
            prop_assert!(more < size || again == Growth::Enough, "{again:?}");
        }
    }

    #[test]
    fn a_drained_piece_is_not_wanted_back(uses in proptest::collection::vec(0u64..=100, 1..8)) {
        let wanted = wanted(DEAR);
        let size = wanted.piece();
        let mut family: Vec<AreaView> =
            uses.iter().zip(0..).map(|(percent, n)| piece(n, size, size.0 * percent / 100)).collect();
        if let Growth::Drain(name) = after(&family, 10_000, &wanted) {
            prop_assert!(family.iter().any(|area| area.name == name && area.used == Pages(0)));
            family.retain(|area| area.name != name);
            prop_assert!(!matches!(after(&family, 10_000, &wanted), Growth::Add(_)));
        }
    }
}
