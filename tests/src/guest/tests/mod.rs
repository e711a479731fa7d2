//! The guest tests: claims about swaptier on a real kernel, whose counters are the referee. One table, one file a subject.

mod agent;
mod areas;
mod bare;
mod drift;
mod exact;
mod faces;
mod gate;
mod kill;
mod map;
mod probes;
mod recording;
mod refusal;
mod top;
mod ugly;
mod workload;

use super::runner::Test;

/// What must be so on a kernel that swaptier refuses.
pub(super) const REFUSALS: &[Test] = &[Test {
    name: "a_kernel_without_the_means_is_refused_by_name",
    run: refusal::a_kernel_without_the_means_is_refused_by_name,
}];

/// Every guest test. A new one is a function in a file of its subject, and a row here.
pub(super) const TESTS: &[Test] = &[
    Test { name: "the_verifier_accepts_every_program", run: probes::the_verifier_accepts_every_program },
    Test {
        name: "programs_get_second_copies_when_the_kernel_begins_to_preempt",
        run: probes::programs_get_second_copies_when_the_kernel_begins_to_preempt,
    },
    Test {
        name: "swap_ins_are_timed_by_tier_while_somebody_looks",
        run: probes::swap_ins_are_timed_by_tier_while_somebody_looks,
    },
    Test { name: "workload_survives_swapping", run: workload::survives_swapping },
    Test { name: "shared_memory_survives_swapping", run: workload::shared_memory_survives_swapping },
    Test {
        name: "a_forked_child_keeps_its_swapped_pages",
        run: workload::a_forked_child_keeps_its_swapped_pages,
    },
    Test { name: "freed_memory_leaves_zswap", run: workload::freed_memory_leaves_zswap },
    Test { name: "large_file_cache_is_file_memory_and_verified", run: workload::large_file_cache },
    Test { name: "map_equals_memory_stat", run: agent::map_equals_memory_stat },
    Test { name: "shadow_map_begins_with_what_was_there", run: map::slots_from_before_have_their_owner },
    Test { name: "map_is_exact_when_a_cgroup_is_removed", run: exact::removed_cgroups },
    Test { name: "map_is_exact_when_swap_areas_come_and_go", run: exact::areas_that_come_and_go },
    Test { name: "map_is_exact_for_large_folios", run: exact::large_folios },
    Test { name: "map_is_exact_when_four_tasks_preempt_each_other", run: exact::preempted_tasks },
    Test {
        name: "errors_of_the_map_are_found_and_put_right",
        run: drift::errors_of_the_map_are_found_and_put_right,
    },
    Test { name: "shadow_map_outlives_its_agent", run: map::a_killed_agent_leaves_its_map_to_the_next },
    Test { name: "shadow_map_follows_used_slots", run: map::memory_follows_used_slots },
    Test { name: "writeback_hits_its_number_and_nobody_else", run: agent::writeback_hits_its_number },
    Test {
        name: "writeback_hits_its_number_without_probes",
        run: bare::writeback_hits_its_number_without_probes,
    },
    Test {
        name: "a_dead_agents_valves_are_opened_by_its_pump",
        run: bare::a_dead_agents_valves_are_opened_by_its_pump,
    },
    Test { name: "a_round_takes_only_what_it_may", run: ugly::a_round_takes_only_what_it_may },
    Test { name: "a_failing_disk_loses_nothing", run: ugly::a_failing_disk_loses_nothing },
    Test {
        name: "restore_after_kill_gives_everything_back",
        run: agent::restore_after_kill_gives_everything_back,
    },
    Test {
        name: "a_stopped_agent_leaves_every_setting_as_it_was",
        run: agent::a_stopped_agent_leaves_every_setting_as_it_was,
    },
    Test {
        name: "killed_at_the_worst_points_nothing_is_left_behind",
        run: kill::at_the_worst_points_nothing_is_left_behind,
    },
    Test {
        name: "the_guardian_gives_the_pool_limit_back",
        run: kill::the_guardian_gives_the_pool_limit_back,
    },
    Test {
        name: "a_ghost_holds_pages_and_nothing_is_written",
        run: areas::a_ghost_holds_pages_and_nothing_is_written,
    },
    Test {
        name: "a_virtual_area_takes_blocks_for_written_pages_only",
        run: areas::a_virtual_area_takes_blocks_for_written_pages_only,
    },
    Test {
        name: "a_killed_command_on_areas_is_finished_by_the_next",
        run: areas::a_killed_command_is_finished_by_the_next,
    },
    Test { name: "a_pools_marks_are_acted_on_in_order", run: areas::a_pools_marks_are_acted_on_in_order },
    Test {
        name: "a_pool_without_room_for_its_notes_loses_nothing",
        run: areas::a_pool_without_room_for_its_notes_loses_nothing,
    },
    Test { name: "the_gate_over_a_ghost_is_kept_shut", run: gate::the_gate_over_a_ghost_is_kept_shut },
    Test {
        name: "the_gate_over_a_zram_ghost_is_kept_shut",
        run: gate::the_gate_over_a_zram_ghost_is_kept_shut,
    },
    Test { name: "a_reader_looks_and_does_not_act", run: faces::a_reader_looks_and_does_not_act },
    Test {
        name: "a_way_to_disk_is_closed_by_hand_and_opened_again",
        run: faces::a_way_to_disk_is_closed_by_hand_and_opened_again,
    },
    Test {
        name: "stopped_readers_cost_the_agent_nothing",
        run: faces::stopped_readers_cost_the_agent_nothing,
    },
    Test {
        name: "the_screen_shows_and_acts_on_a_real_terminal",
        run: top::the_screen_shows_and_acts_on_a_real_terminal,
    },
    Test { name: "a_second_agent_is_refused", run: agent::a_second_agent_is_refused },
    Test {
        name: "a_recorded_demotion_decides_again_to_the_same_plans",
        run: recording::a_recorded_demotion_decides_again_to_the_same_plans,
    },
    Test { name: "the_demo_holds_in_all_its_claims", run: agent::the_demo_holds_in_all_its_claims },
    Test { name: "doctor_finds_this_kernel_fit", run: agent::doctor_finds_this_kernel_fit },
];

/// Fails the test unless `value` lies within `range`; `what` says what was measured.
pub(super) fn within(what: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
    anyhow::ensure!(range.contains(&value), "{what}: {value}, expected {} to {}", range.start(), range.end());
    Ok(())
}
