//! The contract on a bridge. In `mixed::parent` processes run natively and sandboxed by turns; in
//! `mixed::worker` a sandboxed one runs the case, whose primitives are the bridge's then.
//!
//! What does not cross is left out here by name, each with the reason.

use procbox::Backend;
use procbox_cases::{Place, Trial, conformance};
use procbox_tests::mixed::by_turns;
use procbox_tests::watched_in;

/// Ledgers, on which these stand, do not cross.
const ON_LEDGERS: &[&str] = &[
    "a_barrier_is_used_again_and_again",
    "a_consumer_that_is_killed_while_it_waits_loses_nothing",
    "a_killed_holder_gives_its_bounded_permit_back",
    "a_killed_holder_gives_the_rlock_back_however_often_it_had_it",
    "a_killed_waiter_keeps_nobody_from_the_lock",
    "a_killed_waiter_takes_no_bounded_permit_with_it",
    "a_killed_waiter_takes_no_notification_with_it",
    "a_killed_writer_gives_the_lock_back_and_all_are_told",
    "a_notification_wakes_as_many_as_it_says",
    "a_party_that_is_killed_there_breaks_the_barrier",
    "a_wait_at_a_barrier_that_runs_out_breaks_it",
    "abort_ends_all_waits_at_a_barrier",
    "all_go_on_when_the_last_one_comes",
    "an_rlock_is_free_when_it_was_released_as_often",
    "another_takes_over_from_one_that_is_killed",
    "close_wakes_who_waits_for_an_item",
    "it_is_done_once_whoever_comes",
    "many_handle_the_items_of_many",
    "no_notification_of_a_thousand_is_lost",
    "reset_ends_the_waits_and_makes_a_barrier_as_new",
    "the_last_one_acts_before_the_others_go_on",
    "waiters_that_are_killed_count_no_more",
    "what_stands_on_ledgers_is_awaited",
    "what_those_who_are_killed_had_on_ledgers_is_awaited",
    "who_is_woken_is_told_of_a_holder_that_was_killed",
    "who_waits_to_write_goes_before_who_comes_later_to_read",
    "writers_keep_each_other_and_readers_apart",
];

/// Each side is warm for itself: see `Context::on`.
const WARM: &[&str] = &[
    "a_hook_is_called_in_each_warm_process",
    "a_sandboxed_process_makes_no_image",
    "a_warm_context_starts_processes_as_any_other",
    "a_warm_process_knows_who_it_is",
    "a_worker_that_does_not_return_makes_nothing_warm",
    "a_worker_that_leaves_something_open_makes_nothing_warm",
    "a_worker_that_takes_too_long_makes_nothing_warm",
    "warm_processes_have_hashes_and_random_numbers_of_their_own",
    "what_a_warm_process_writes_no_other_finds",
    "what_a_worker_has_made_is_there_in_each_warm_process",
];

/// Circles of waits across a bridge are not found.
fn is_of_circles(name: &str) -> bool {
    name.ends_with("_deadlock") || name == "who_waits_for_a_circle_sees_what_becomes_of_it"
}

/// Names of listeners are those of one side; and what these ask is of one side or the other.
const OF_ONE_SIDE: &[&str] = &[
    "a_context_knows_where_it_is",
    "ready_waits_for_connections_and_listeners_too",
    "what_a_task_has_used_is_said",
];

fn crosses(trial: &Trial) -> bool {
    let name = trial.name();
    let by_turns = trial.place() == Place::Parent;
    let left_out = is_of_circles(name)
        || by_turns && [ON_LEDGERS, WARM, OF_ONE_SIDE].iter().any(|list| list.contains(&name));
    !left_out
}

fn run(trial: Trial) {
    if !crosses(&trial) {
        return;
    }
    let first = match trial.place() {
        Place::Parent => Backend::Native,
        Place::Worker => Backend::Sandbox,
    };
    watched_in(by_turns(first), move |ctx| trial.run(ctx));
}

conformance!(mixed, run, guests);
