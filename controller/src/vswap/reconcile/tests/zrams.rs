//! zram devices on the host of paper: ours told from others', and a process that dies between adding one and noting it.

use std::collections::BTreeSet;

use super::*;
use crate::vswap::ZramNote;
use crate::vswap::found::Zram;

/// The step as the kernel and the list would do it.
pub(super) fn take(paper: &mut Paper, area: &AreaName, step: &ZramStep) {
    let number =
        |paper: &Paper, part: u32| paper.found.zram_named(&area.device(part)).expect("it is there").0;
    let is_swap = |paper: &Paper, number| paper.found.used_at(&zram_node(number)).is_some();
    match step {
        ZramStep::Add(part) => {
            begin(paper, area);
            let number = add(paper);
            let sequence = paper.found.zrams[&number].sequence;
            let record = paper.intended.area_mut(area).unwrap();
            let size = record.parts.iter().find(|it| it.id == *part).unwrap().size;
            let over = record.zram.as_mut().unwrap();
            over.adding = None;
            over.devices.insert(*part, ZramNote { number, sequence, size });
        }
        ZramStep::Size(part, size) => {
            let zram = paper.found.zrams.get_mut(&number(paper, *part)).unwrap();
            assert_eq!(zram.size, Bytes(0), "{step:?}: it is set up");
            zram.size = *size;
        }
        ZramStep::Limit(part) => {
            assert!(matches!(paper.found.zrams[&number(paper, *part)].holds, Holds::Header(_)), "{step:?}");
        }
        ZramStep::Remove(part) => {
            let number = number(paper, *part);
            assert!(!is_swap(paper, number), "{step:?}: it is swap");
            paper.found.zrams.remove(&number);
            paper.intended.area_mut(area).unwrap().zram.as_mut().unwrap().devices.remove(part);
        }
        ZramStep::TakeBack(number) => {
            for number in number.iter() {
                assert!(!is_swap(paper, *number), "{step:?}: it is swap");
                paper.found.zrams.remove(number).expect("it is there");
            }
            paper.intended.area_mut(area).unwrap().zram.as_mut().unwrap().adding = None;
        }
        ZramStep::Leave(number) => {
            let over = paper.intended.area_mut(area).unwrap().zram.as_mut().unwrap();
            over.devices.retain(|_, note| note.number != *number);
        }
    }
    zram::name(&paper.intended.areas, &mut paper.found.zrams);
}

/// Notes what is there before a device is added.
fn begin(paper: &mut Paper, area: &AreaName) {
    let before: BTreeSet<u64> = paper.found.zrams.values().map(|zram| zram.sequence).collect();
    paper.intended.area_mut(area).unwrap().zram.as_mut().unwrap().adding = Some(before);
}

/// One more device, of the lowest free number.
fn add(paper: &mut Paper) -> u32 {
    paper.next += 1;
    let number = (0..).find(|number| !paper.found.zrams.contains_key(number)).unwrap();
    let device = DeviceNumber { major: 252, minor: number };
    let zram =
        Zram { device, sequence: paper.next.into(), size: Bytes(0), holds: Holds::Nothing, part: None };
    paper.found.zrams.insert(number, zram);
    number
}

/// A ghost over zram, beside a device of somebody else's.
fn begun() -> (Paper, AreaName) {
    let mut paper = Paper::with(vec![areas().into_iter().find(AreaRecord::is_over_zram).unwrap()]);
    add(&mut paper);
    let name = paper.intended.areas[0].spec.name.clone();
    (paper, name)
}

fn numbers(paper: &Paper) -> Vec<u32> {
    paper.found.zrams.keys().copied().collect()
}

fn says(paper: &Paper) -> Vec<String> {
    paper.plan().iter().map(ToString::to_string).collect()
}

#[test]
fn it_is_made_step_by_step_and_anothers_device_is_not_used() {
    let (mut paper, _) = begun();
    let expected = [
        "add a zram device, to be swaptier-memory-0",
        "set the size of swaptier-memory-0 to 64.0 GiB",
        "write a swap header for 64.0 GiB to the zram device of swaptier-memory-0",
        "limit the memory of swaptier-memory-0 to less than its header takes",
        "swap on the zram device of swaptier-memory-0, priority 5",
    ];
    assert_eq!(says(&paper)[..5], expected);
    paper.settle();
    assert_eq!((numbers(&paper), paper.found.zrams[&0].size), (vec![0, 1, 2], Bytes(0)));
}

#[test]
fn a_device_that_was_added_and_not_noted_is_taken_back() {
    let (mut paper, name) = begun();
    begin(&mut paper, &name);
    add(&mut paper);
    assert_eq!(says(&paper)[0], "remove zram1, just added for memory");
    same_end_from_everywhere(&paper);
    paper.intended.areas[0].want = Want::Gone;
    paper.settle();
    assert_eq!((numbers(&paper), paper.intended.areas.len()), (vec![0], 0));
}

#[test]
fn of_two_that_came_meanwhile_none_is_touched() {
    let (mut paper, name) = begun();
    begin(&mut paper, &name);
    let (one, other) = (add(&mut paper), add(&mut paper));
    assert_eq!(
        (one, other, says(&paper)[0].as_str()),
        (1, 2, "leave zram1: it is not known to be that of memory")
    );
    paper.intended.areas[0].want = Want::Gone;
    paper.settle();
    assert_eq!(numbers(&paper), [0, 1, 2]);
}

#[test]
fn one_that_somebody_has_set_up_meanwhile_is_not_taken_back() {
    let (mut paper, name) = begun();
    begin(&mut paper, &name);
    let number = add(&mut paper);
    paper.found.zrams.get_mut(&number).unwrap().size = Bytes(1 << 30);
    assert_eq!(says(&paper)[0], "note that no zram device is being added for memory");
    paper.settle();
    assert_eq!((paper.plan(), numbers(&paper)), (vec![], vec![0, 1, 2, 3]));
}

#[test]
fn a_device_with_our_number_that_is_another_is_left() {
    type Change = fn(&mut Zram);
    let changes: [(Change, bool); 4] = [
        (|zram| zram.sequence += 100, false),
        (|zram| zram.size = Bytes(1 << 20), true),
        (|zram| zram.holds = Holds::Header("mkswap".to_owned()), true),
        (|zram| zram.holds = Holds::Something, true),
    ];
    for (change, is_told) in changes {
        let (mut paper, _) = begun();
        paper.settle();
        change(paper.found.zrams.get_mut(&1).unwrap());
        zram::name(&paper.intended.areas, &mut paper.found.zrams);
        paper.intended.areas[0].want = Want::Gone;
        let steps = says(&paper);
        let leave = "leave zram1: it is not known to be that of memory".to_owned();
        assert_eq!(steps.contains(&leave), is_told, "{steps:?}");
        paper.settle();
        assert_eq!(numbers(&paper), [0, 1], "{steps:?}");
        assert!(paper.found.used_at(&zram_node(1)).is_some(), "{steps:?}");
    }
}

#[test]
fn a_part_that_is_off_keeps_its_header_and_one_that_is_dropped_goes() {
    let (mut paper, _) = begun();
    paper.settle();
    paper.intended.areas[0].want = Want::Off;
    paper.settle();
    paper.intended.areas[0].want = Want::On;
    // Under its limit a second header would be refused.
    assert!(!paper.plan().iter().any(|step| matches!(step, Step::Header(..))), "{:?}", says(&paper));
    paper.settle();
    paper.intended.areas[0].parts.truncate(1);
    assert_eq!(says(&paper), ["swap off /dev/zram2", "remove the zram device of swaptier-memory-1"]);
    same_end_from_everywhere(&paper);
}
