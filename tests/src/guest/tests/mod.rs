//! The guest tests: claims about swaptier on a real kernel, whose counters are the referee. One table, one file a subject.

mod agent;
mod areas;
mod bare;
mod beside;
mod drift;
mod exact;
mod faces;
mod gate;
mod kill;
mod map;
mod others;
mod probes;
mod recording;
mod refusal;
mod top;
mod ugly;
mod workload;

use super::runner::Test;

/// What must be so on a kernel that swaptier refuses.
pub(super) const REFUSALS: &[Test] = &[Test::each(
    "a_kernel_without_the_means_is_refused_by_name",
    refusal::a_kernel_without_the_means_is_refused_by_name,
)];

/// Every guest test. A new one is a function in a file of its subject, and a row here.
pub(super) const TESTS: &[Test] = &[
    Test::ends("the_verifier_accepts_every_program", probes::the_verifier_accepts_every_program),
    Test::ends(
        "programs_get_second_copies_when_the_kernel_begins_to_preempt",
        probes::programs_get_second_copies_when_the_kernel_begins_to_preempt,
    ),
    Test::ends(
        "swap_ins_are_timed_by_tier_while_somebody_looks",
        probes::swap_ins_are_timed_by_tier_while_somebody_looks,
    ),
    Test::newest("workload_survives_swapping", workload::survives_swapping),
    Test::newest("shared_memory_survives_swapping", workload::shared_memory_survives_swapping),
    Test::newest("a_forked_child_keeps_its_swapped_pages", workload::a_forked_child_keeps_its_swapped_pages),
    Test::newest("freed_memory_leaves_zswap", workload::freed_memory_leaves_zswap),
    Test::newest("large_file_cache_is_file_memory_and_verified", workload::large_file_cache),
    Test::each("map_equals_memory_stat", agent::map_equals_memory_stat),
    Test::each("shadow_map_begins_with_what_was_there", map::slots_from_before_have_their_owner),
    Test::each("map_is_exact_when_a_cgroup_is_removed", exact::removed_cgroups),
    Test::each("map_is_exact_when_swap_areas_come_and_go", exact::areas_that_come_and_go),
    Test::each("map_is_exact_for_large_folios", exact::large_folios),
    Test::each("map_is_exact_when_four_tasks_preempt_each_other", exact::preempted_tasks),
    Test::each("errors_of_the_map_are_found_and_put_right", drift::errors_of_the_map_are_found_and_put_right),
    Test::ends("shadow_map_outlives_its_agent", map::a_killed_agent_leaves_its_map_to_the_next),
    Test::each(
        "shadow_map_is_kept_by_a_restart_and_not_by_a_stop",
        map::a_restart_keeps_the_map_and_a_stop_does_not,
    ),
    Test::ends("shadow_map_follows_used_slots", map::memory_follows_used_slots),
    Test::newest("slots_are_walked_when_somebody_needs_them", map::slots_are_walked_when_somebody_needs_them),
    Test::ends("writeback_hits_its_number_and_nobody_else", agent::writeback_hits_its_number),
    Test::ends("writeback_hits_its_number_without_probes", bare::writeback_hits_its_number_without_probes),
    Test::ends(
        "a_dead_agents_valves_are_opened_by_its_pump",
        bare::a_dead_agents_valves_are_opened_by_its_pump,
    ),
    Test::ends("a_round_runs_beside_the_loop", beside::a_round_runs_beside_the_loop),
    Test::ends("a_round_takes_only_what_it_may", ugly::a_round_takes_only_what_it_may),
    Test::ends("a_failing_disk_loses_nothing", ugly::a_failing_disk_loses_nothing),
    Test::newest("restore_after_kill_gives_everything_back", agent::restore_after_kill_gives_everything_back),
    Test::ends(
        "a_stopped_agent_leaves_every_setting_as_it_was",
        agent::a_stopped_agent_leaves_every_setting_as_it_was,
    ),
    Test::ends(
        "killed_at_the_worst_points_nothing_is_left_behind",
        kill::at_the_worst_points_nothing_is_left_behind,
    ),
    Test::newest("the_guardian_gives_the_pool_limit_back", kill::the_guardian_gives_the_pool_limit_back),
    Test::ends(
        "a_ghost_holds_pages_and_nothing_is_written",
        areas::a_ghost_holds_pages_and_nothing_is_written,
    ),
    Test::ends(
        "a_virtual_area_takes_blocks_for_written_pages_only",
        areas::a_virtual_area_takes_blocks_for_written_pages_only,
    ),
    Test::ends(
        "a_killed_command_on_areas_is_finished_by_the_next",
        areas::a_killed_command_is_finished_by_the_next,
    ),
    Test::ends("a_pools_marks_are_acted_on_in_order", areas::a_pools_marks_are_acted_on_in_order),
    Test::newest(
        "a_pool_without_room_for_its_notes_loses_nothing",
        areas::a_pool_without_room_for_its_notes_loses_nothing,
    ),
    Test::newest(
        "a_disk_of_somebody_else_is_left_as_it_is",
        others::a_disk_of_somebody_else_is_left_as_it_is,
    ),
    Test::ends("a_ghost_is_one_behind_a_dev_of_its_own", gate::a_ghost_is_one_behind_a_dev_of_its_own),
    Test::ends("the_gate_over_a_ghost_is_kept_shut", gate::the_gate_over_a_ghost_is_kept_shut),
    Test::newest("the_gate_over_a_zram_ghost_is_kept_shut", gate::the_gate_over_a_zram_ghost_is_kept_shut),
    Test::newest("a_reader_looks_and_does_not_act", faces::a_reader_looks_and_does_not_act),
    Test::newest(
        "a_way_to_disk_is_closed_by_hand_and_opened_again",
        faces::a_way_to_disk_is_closed_by_hand_and_opened_again,
    ),
    Test::newest("stopped_readers_cost_the_agent_nothing", faces::stopped_readers_cost_the_agent_nothing),
    Test::newest(
        "the_screen_shows_and_acts_on_a_real_terminal",
        top::the_screen_shows_and_acts_on_a_real_terminal,
    ),
    Test::newest("a_second_agent_is_refused", agent::a_second_agent_is_refused),
    Test::newest(
        "a_recorded_demotion_decides_again_to_the_same_plans",
        recording::a_recorded_demotion_decides_again_to_the_same_plans,
    ),
    Test::ends("the_demo_holds_in_all_its_claims", agent::the_demo_holds_in_all_its_claims),
    Test::ends("doctor_finds_this_kernel_fit", agent::doctor_finds_this_kernel_fit),
];

/// Fails the test unless `value` lies within `range`; `what` says what was measured.
pub(super) fn within(what: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
    anyhow::ensure!(range.contains(&value), "{what}: {value}, expected {} to {}", range.start(), range.end());
    Ok(())
}
