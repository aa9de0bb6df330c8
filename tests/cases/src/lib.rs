//! The contract, case by case: what DESIGN.md's table of semantics promises, each promise a
//! function that is written once and run four times: on both backends, and there in the parent and
//! in a worker.
//!
//! A case gets a context and uses nothing else; the processes that it starts are the workers of the
//! program `conformance`, by name.
//!
//! # To add a case
//!
//! Write the function, and name it in the list below; the compiler complains about a case that is
//! not in it, and a test about one that `docs/semantics.md` does not name.
//!
//! # To hold another backend to the contract
//!
//! 1. Make it a [`Context`] of the program `conformance` of this crate: built for the backend's
//!    processes, it has all workers that the cases start.
//! 2. Instantiate the suite in a test of the backend: [`conformance!`] takes a name, and what the
//!    backend does with a [`Trial`]. `tests/tests/conformance.rs` does so for the
//!    two that there are, and `tests/tests/local.rs` for workers that are threads.
//! 3. Where it cannot do a thing, the case fails with the error that says so. Whether that may be is
//!    the backend's own to say, where it runs the trial.

mod asked;
mod barrier;
mod bounded;
mod cancel;
mod condition;
mod conformance;
mod connection;
mod context;
mod daemon;
mod deadlock;
mod event;
mod exit;
mod healing;
mod joinable;
mod loan;
mod lock;
mod main_loop;
mod measured;
mod memory;
mod naming;
mod once;
mod pipe;
mod polled;
mod pool;
mod process;
mod queue;
mod rlock;
mod rwlock;
mod semaphore;
mod spawn;
pub mod storm;
mod support;
pub mod walked;
mod warm;

pub use conformance::{Place, Trial, run_case};

use procbox_guest::{
    Barrier, BoundedSemaphore, Condition, Context, Lock, Once, Queue, RLock, Runnable, RwLock,
};
use serde::{Deserialize, Serialize};

/// A case: it fails with what is not as it should be.
pub type Case = fn(&Context) -> anyhow::Result<()>;

/// The case of this name.
pub fn find(name: &str) -> Option<Case> {
    CASES.iter().find(|(known, _)| *known == name).map(|(_, case)| *case)
}

/// Argument of a worker that takes one struct: numbers, text, what can be empty, handles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// A number.
    pub id: u64,
    /// Text.
    pub name: String,
    /// Some of each.
    pub tags: Vec<Option<i8>>,
    /// To be acquired before the reply is put.
    pub lock: Lock,
    /// The queue that the order goes back to, its number doubled.
    pub reply: Option<Queue<Order>>,
}

/// Something that stands on a ledger, as an argument of workers that take any of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Shared {
    /// A lock that its holder may take again.
    RLock(RLock),
    /// A semaphore with a bound.
    Bounded(BoundedSemaphore),
    /// A condition.
    Condition(Condition),
    /// A barrier.
    Barrier(Barrier),
    /// A lock to read or to write.
    RwLock(RwLock),
    /// Something to be done once.
    Once(Once),
}

/// A worker that is a struct: puts the numbers below `ticks` into the queue. Its `run` is in
/// the program, beside a struct of the same shape.
#[derive(Debug, Serialize)]
pub struct Clock {
    /// Count of the numbers.
    pub ticks: u32,
    /// The queue that they are put into.
    pub out: Queue<u32>,
}

impl Runnable for Clock {
    const NAME: &'static str = "Clock";
}

/// From the list of cases: the table, and the macro that hands each case to another macro.
macro_rules! cases {
    ($d:tt $($module:ident { $($name:ident $(except $whom:ident $why:literal)?;)* })*) => {
        /// All cases, by name.
        pub const CASES: &[(&str, Case)] = &[$($((stringify!($name), $module::$name),)*)*];

        /// Calls `$call! { $prefix NAME }` for every case, with `except WHOM WHY` behind the name
        /// if there is somebody who cannot run it: a `worker` on every backend, a `guest`, which
        /// is a worker in a sandbox, or a `thread`. [`conformance!`](crate::conformance) does.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_case {
            ([$d($d call:tt)*] $d($d prefix:tt)*) => {
                $($($d($d call)* ! { $d($d prefix)* $name $(except $whom $why)? })*)*
            };
        }
    };
}

cases! { $
    process {
        a_process_is_started_and_joined;
        a_running_process_is_alive_and_has_no_exitcode;
        a_process_starts_only_once;
        a_process_that_was_not_started_says_so;
        a_closed_process_says_so;
        a_running_process_cannot_be_closed;
        a_process_has_a_name;
        a_process_has_a_number_of_its_own;
        the_daemon_flag_is_set_before_start_only;
        the_authkey_is_inherited;
        a_worker_knows_its_parent;
        active_children_are_those_that_live;
        a_worker_may_be_a_struct_with_run;
        a_struct_travels_as_an_argument;
        terminate_ends_a_blocked_process;
        kill_ends_a_blocked_process;
        terminate_ends_a_busy_loop;
        kill_ends_a_busy_loop;
        a_process_can_be_killed_at_once_after_its_start;
        interrupt_ends_a_process_that_does_not_answer_it;
        interrupt_ends_the_blocked_call_of_a_process_that_answers;
        kill_tree_ends_what_a_process_has_started_too;
        a_timeout_ends_what_a_process_has_started_too;
        what_a_process_has_used_is_said;
        busy_loops_starve_nobody;
        a_join_that_runs_out_can_be_repeated;
        many_may_live_at_once;
        two_hundred_starts_one_after_another;
        workers_start_workers;
        an_unknown_worker_is_named_with_those_that_there_are;
        a_process_that_could_not_be_started_says_why_again;
        arguments_that_do_not_decode_fail_the_worker;
    }
    spawn {
        a_spawned_worker_gives_its_value_back;
        a_spawned_worker_that_fails_or_panics_says_why;
        a_spawned_worker_that_dies_says_how_it_ended except thread "a crash ends the whole program";
        a_join_of_a_spawned_worker_that_runs_out_can_be_repeated;
        a_spawned_worker_is_a_process_like_any_other;
        handles_and_large_values_come_back_from_a_spawned_worker;
    }
    exit {
        a_return_is_0;
        an_err_is_1;
        a_panic_is_101;
        exit_n_is_n;
        an_access_out_of_bounds_is_segv except thread "a crash ends the whole program";
        a_stack_overflow_is_segv except thread "a crash ends the whole program";
        a_division_by_zero_is_fpe except thread "a crash ends the whole program";
        an_abort_is_abrt except thread "a crash ends the whole program";
        terminate_is_143_and_kill_137_to_a_shell;
        out_of_wall_clock_time_names_the_limit;
        out_of_cpu_time_is_xcpu;
        waiting_uses_no_cpu_time;
        a_kill_is_not_a_limit;
    }
    lock {
        a_lock_keeps_four_processes_apart;
        a_lock_is_not_reentrant;
        a_lock_is_released_by_its_holder_only;
        a_guard_releases_on_drop;
        a_killed_holder_gives_the_lock_back;
        a_waiter_gets_the_lock_of_a_killed_holder;
        a_killed_waiter_takes_no_lock_with_it;
        a_holder_that_ends_without_releasing_leaves_a_free_lock;
        a_thread_that_ends_gives_its_lock_back except guest "a sandboxed process has one thread";
        a_wait_for_a_lock_runs_out;
        a_lock_is_handed_on_a_hundred_thousand_times_between_two;
        a_lock_is_handed_on_a_hundred_thousand_times_between_four;
    }
    semaphore {
        a_semaphore_counts_permits;
        a_semaphore_may_begin_empty;
        no_more_are_inside_than_there_are_permits;
        a_release_lets_a_blocked_process_go_on;
        a_killed_holder_gives_its_permit_back;
        a_forgotten_permit_does_not_come_back;
        more_may_be_released_than_were_acquired;
        a_semaphore_counts_to_two_billion_and_no_further;
        a_wait_for_a_permit_runs_out;
        a_killed_waiter_takes_no_permit_with_it;
        a_thread_that_ends_gives_its_permits_back except guest "a sandboxed process has one thread";
        what_another_thread_gave_back_comes_back_once except guest "a sandboxed process has one thread";
        a_guard_does_not_outlive_its_thread except guest "a sandboxed process has one thread";
        a_permit_is_handed_on_a_hundred_thousand_times_between_two;
        a_permit_is_handed_on_a_hundred_thousand_times_between_four;
    }
    event {
        an_event_is_set_and_cleared;
        a_wait_for_an_event_runs_out;
        a_set_wakes_all_who_wait;
        one_waits_in_vain_and_one_for_ever;
        a_set_is_seen_also_if_it_is_cleared_at_once;
        who_waits_sees_a_set_that_is_over_when_it_wakes;
        a_killed_waiter_hurts_nobody;
        an_event_is_handed_on_a_hundred_thousand_times_between_two;
        an_event_is_handed_on_a_hundred_thousand_times_between_four;
    }
    queue {
        first_in_is_first_out;
        a_queue_knows_how_full_it_is;
        a_full_queue_says_full;
        an_empty_queue_says_empty;
        a_queue_holds_at_least_one;
        a_closed_queue_drains_and_then_is_closed;
        close_wakes_blocked_getters;
        close_wakes_blocked_putters;
        a_get_lets_a_blocked_putter_go_on;
        an_unbounded_queue_takes_all;
        messages_of_no_bytes_are_messages;
        messages_of_all_sizes_arrive_whole;
        a_message_of_64_mib_arrives_whole except worker "its copies are many, and the parent shows it";
        a_message_that_never_fits_is_too_large;
        bytes_are_bounded_too;
        messages_of_no_bytes_are_bounded_too;
        room_in_bytes_lets_in_as_many_as_fit;
        room_for_a_small_message_is_not_kept_by_a_large_one;
        a_queue_travels_in_a_queue;
        several_handles_travel_in_one_message;
        a_handle_in_a_message_outlives_its_sender;
        four_producers_and_four_consumers_lose_nothing;
        killed_producers_never_break_a_queue;
        killed_consumers_lose_only_what_they_had;
        a_killed_getter_takes_no_wake_with_it;
        a_message_is_handed_on_a_hundred_thousand_times_between_two;
        a_message_is_handed_on_a_hundred_thousand_times_between_four;
    }
    rlock {
        an_rlock_is_reentrant;
        an_rlock_is_free_when_it_was_released_as_often;
        an_rlock_is_released_by_its_holder_only;
        a_wait_for_an_rlock_runs_out;
        a_killed_holder_gives_the_rlock_back_however_often_it_had_it;
    }
    bounded {
        a_bounded_semaphore_counts_permits;
        a_release_too_many_is_refused;
        a_bounded_permit_may_be_released_by_another_process;
        a_killed_holder_gives_its_bounded_permit_back;
        a_killed_waiter_takes_no_bounded_permit_with_it;
        a_wait_for_a_bounded_permit_runs_out;
    }
    condition {
        a_notification_wakes_as_many_as_it_says;
        a_notification_is_not_for_who_comes_later;
        who_is_notified_has_the_lock_again;
        a_wait_for_a_condition_runs_out;
        two_conditions_of_one_lock_hand_items_on;
        a_condition_is_waited_for_with_its_own_guard;
        a_killed_waiter_takes_no_notification_with_it;
        waiters_that_are_killed_count_no_more;
        who_is_woken_is_told_of_a_holder_that_was_killed;
        no_notification_of_a_thousand_is_lost;
    }
    barrier {
        all_go_on_when_the_last_one_comes;
        a_barrier_is_used_again_and_again;
        the_last_one_acts_before_the_others_go_on;
        an_action_that_fails_breaks_the_barrier;
        a_party_that_is_killed_there_breaks_the_barrier;
        a_wait_at_a_barrier_that_runs_out_breaks_it;
        abort_ends_all_waits_at_a_barrier;
        reset_ends_the_waits_and_makes_a_barrier_as_new;
    }
    joinable {
        join_waits_until_all_items_are_done;
        an_item_is_done_once;
        many_handle_the_items_of_many;
        the_undone_items_of_a_killed_consumer_are_told;
        a_consumer_that_is_killed_while_it_waits_loses_nothing;
        a_wait_for_an_item_or_for_room_runs_out;
        close_wakes_who_waits_for_an_item;
    }
    rwlock {
        many_read_or_one_writes;
        writers_keep_each_other_and_readers_apart;
        who_waits_to_write_goes_before_who_comes_later_to_read;
        a_killed_reader_leaves_nothing_behind;
        a_killed_writer_gives_the_lock_back_and_all_are_told;
        a_killed_waiter_keeps_nobody_from_the_lock;
        a_wait_to_read_or_to_write_runs_out;
    }
    once {
        it_is_done_once_whoever_comes;
        who_comes_meanwhile_waits_until_it_is_done;
        what_fails_is_not_done;
        another_takes_over_from_one_that_is_killed;
    }
    memory {
        shared_bytes_are_copied_in_and_out;
        shared_bytes_are_the_same_in_every_process;
        words_are_changed_atomically;
        a_word_is_waited_for;
        a_region_outlives_who_made_it_and_who_was_killed;
        a_value_is_shared;
        a_value_is_never_half_written;
        a_killed_changer_of_a_value_is_told;
        an_array_is_shared;
    }
    loan {
        what_was_written_in_place_is_got_as_any_message;
        any_message_of_bytes_is_read_in_place;
        messages_in_place_go_between_processes;
        a_loan_that_is_not_put_leaves_nothing;
        a_loan_that_finds_no_room_can_be_tried_again;
        a_loan_that_never_fits_is_too_large;
        a_message_that_is_no_bytes_is_not_read_in_place;
        who_is_killed_with_messages_in_place_takes_no_other_with_it;
        large_values_of_all_kinds_arrive_whole;
    }
    pipe {
        a_duplex_pipe_goes_both_ways;
        a_simplex_pipe_goes_one_way;
        a_pipe_keeps_message_boundaries;
        poll_says_whether_recv_would_block;
        a_wait_for_a_message_runs_out;
        an_end_that_was_dropped_is_gone;
        an_end_whose_worker_ended_is_gone;
        an_end_whose_worker_was_killed_is_gone;
        a_kill_wakes_who_waits_at_the_other_end;
        a_kill_wakes_who_cannot_send_to_the_other_end;
        an_end_travels_in_a_message;
        an_end_in_a_message_to_nobody_is_gone;
    }
    context {
        the_program_tells_its_workers;
        a_context_knows_where_it_is;
        ready_says_which_queues_have_something;
        ready_waits_for_a_process_too;
        ready_is_woken_by_whatever_comes_first;
        an_enormous_timeout_waits_for_ever;
        main_is_an_entry_too;
        input_is_given_and_output_is_kept except guest "a sandboxed process may not redirect its children";
    }
    naming {
        workers_of_one_name_are_told_apart_by_their_modules;
        a_name_that_several_workers_have_is_refused;
        an_item_is_the_worker_that_it_names;
        every_worker_is_listed_by_a_name_that_starts_it;
        a_worker_may_be_given_a_name;
        an_err_fails_under_any_alias;
    }
    main_loop {
        a_worker_asks_main_to_quit;
        calls_of_one_poster_run_in_order;
        a_main_loop_that_waits_in_vain_times_out;
        a_loop_that_is_gone_takes_no_calls;
        what_is_not_a_call_is_refused_and_the_loop_goes_on;
        threads_post_closures except guest "a sandboxed process has one thread";
    }
    polled {
        messages_and_room_are_awaited;
        an_end_of_a_pipe_is_awaited;
        permits_of_who_is_killed_are_awaited;
        a_lock_of_who_is_killed_is_awaited;
        an_event_is_awaited_also_if_it_is_cleared_at_once except guest "there a poll waits, and nobody else runs";
        processes_and_their_values_are_awaited;
        tasks_are_awaited;
        a_task_that_is_awaited_is_cancelled except guest "there a poll waits, and nobody else runs";
        clients_are_awaited except guest "a sandboxed process has one thread";
        what_stands_on_ledgers_is_awaited;
        what_those_who_are_killed_had_on_ledgers_is_awaited;
        a_condition_is_awaited;
        a_wait_that_is_dropped_leaves_all_as_it_was except guest "there a poll waits, and nobody else runs";
        many_await_one_queue_and_none_is_forgotten except guest "there a poll waits, and nobody else runs";
        tasks_of_one_thread_await_a_lock_of_each_other except guest "there a poll waits, and nobody else runs";
    }
    connection {
        strangers_with_the_key_talk;
        ready_waits_for_connections_and_listeners_too;
        ready_sees_the_end_of_a_process_beside_sockets;
        a_wrong_key_is_refused_on_both_sides;
        a_refused_client_leaves_the_listener_as_it_was;
        a_message_of_a_mebibyte_crosses;
        a_name_is_taken_once_and_free_afterwards;
        a_listener_that_is_killed_frees_its_name;
        a_killed_peer_is_gone;
        a_wait_for_a_client_runs_out;
        a_client_of_nobody_is_refused;
        handles_do_not_cross_a_connection;
    }
    daemon {
        a_daemon_ends_with_its_parent;
        a_daemon_ends_with_its_killed_parent;
        a_daemon_that_is_joined_is_waited_for;
        another_child_is_joined_at_its_parents_end;
        another_child_is_joined_after_a_pool_was_used_too;
        another_child_outlives_its_killed_parent;
        a_daemon_may_not_start_processes;
    }
    cancel {
        a_task_that_has_not_begun_is_taken_back;
        a_task_that_runs_is_ended_with_its_worker;
        a_task_that_has_ended_stays_as_it_is;
        a_map_is_cancelled_whole;
        a_task_whose_worker_is_not_ready_is_cancelled;
        a_callback_hears_that_its_task_was_cancelled;
    }
    measured {
        what_a_task_has_used_is_said;
        what_a_task_with_a_process_of_its_own_has_used_is_said;
        what_a_task_that_failed_has_used_is_said_too except thread "a crash ends the whole program";
        what_each_of_many_tasks_has_used_is_said;
        nothing_is_measured_unasked;
    }
    pool {
        apply_runs_one_task;
        map_keeps_the_order;
        starmap_passes_tuples;
        no_inputs_give_no_results;
        imap_keeps_the_order_and_numbers_its_results;
        imap_takes_an_endless_iterator_as_it_goes;
        fold_takes_results_in_order_and_keeps_none;
        imap_unordered_gives_each_result_once;
        imap_unordered_does_not_wait_for_the_slow;
        a_slow_task_keeps_no_other_waiting;
        map_takes_inputs_as_the_workers_get_to_them;
        next_timeout_runs_out_and_can_be_repeated;
        imap_polled_gives_results_while_its_inputs_are_idle;
        the_bell_wakes_who_waits_for_inputs except guest "a sandboxed process has one thread";
        imap_on_a_closed_pool_says_so_and_ends;
        apply_async_calls_back_once;
        a_result_is_asked_for_in_many_ways;
        map_async_gives_the_list_later;
        starmap_async_gives_the_list_later;
        callbacks_hear_of_errors_too;
        an_input_that_cannot_be_encoded_fails_the_map_and_not_the_pool;
        an_iterator_that_panics_leaves_the_pool_as_it_was except guest "a panic ends a sandboxed process";
        a_result_that_cannot_be_encoded_fails_its_task;
        a_task_lets_go_of_its_handles;
        a_closed_pool_takes_nothing_and_ends_what_it_has;
        an_open_pool_cannot_be_joined;
        a_pool_has_at_least_one_worker;
        a_pool_of_an_unknown_worker_is_refused;
        a_task_that_fails_says_why;
        a_task_that_panics_says_why_and_the_pool_goes_on;
        a_map_fails_with_its_first_error;
        an_initializer_runs_before_the_tasks_of_each_worker;
        a_worker_keeps_its_state_from_task_to_task;
        with_a_fresh_process_per_task_no_state_leaks except thread "threads share the program's statics";
        terminate_ends_a_busy_pool_at_once;
        a_pool_that_is_dropped_ends_its_workers;
        a_pool_may_be_dropped_at_any_moment;
        a_callback_that_panics_takes_no_other_with_it except guest "a sandboxed process has one thread";
        a_callback_cannot_wait_for_another_task;
        a_scope_ends_its_workers_on_unwind_too except guest "a panic ends a sandboxed process";
        arguments_and_results_of_32_mebibytes_arrive_whole;
        results_of_a_mebibyte_arrive_whole;
        what_does_not_decode_is_named;
        handles_travel_in_tasks_and_results;
        several_threads_share_a_pool except guest "a sandboxed process has one thread";
    }
    warm {
        what_a_worker_has_made_is_there_in_each_warm_process;
        a_warm_context_starts_processes_as_any_other except guest "a sandboxed process makes no image";
        what_a_warm_process_writes_no_other_finds except thread "threads share the program's statics";
        warm_processes_have_hashes_and_random_numbers_of_their_own;
        a_hook_is_called_in_each_warm_process except guest "a sandboxed process makes no image";
        a_warm_process_knows_who_it_is except guest "a sandboxed process makes no image";
        a_worker_that_does_not_return_makes_nothing_warm except guest "a sandboxed process makes no image";
        a_worker_that_takes_too_long_makes_nothing_warm except guest "a sandboxed process makes no image";
        a_worker_that_leaves_something_open_makes_nothing_warm except guest "a sandboxed process makes no image";
        a_sandboxed_process_makes_no_image;
    }
    deadlock {
        two_locks_taken_crosswise_are_a_deadlock;
        five_philosophers_who_take_the_left_fork_are_a_deadlock;
        five_philosophers_who_take_the_lower_fork_are_none;
        a_child_that_waits_for_the_lock_of_who_joins_it_is_a_deadlock;
        a_child_that_waits_for_a_message_of_who_joins_it_is_a_deadlock except thread "any thread may have a handle, by a static";
        a_queue_that_nobody_can_fill_is_a_deadlock except thread "any thread may have a handle, by a static";
        a_queue_that_nobody_can_drain_is_a_deadlock except thread "any thread may have a handle, by a static";
        both_ends_of_a_pipe_receiving_is_a_deadlock except thread "any thread may have a handle, by a static";
        two_queues_of_which_each_waits_for_the_other_are_a_deadlock except thread "any thread may have a handle, by a static";
        two_requests_whose_reply_queues_are_on_their_way_are_a_deadlock except thread "any thread may have a handle, by a static";
        two_requests_in_a_pipe_whose_ends_wait_for_replies_are_a_deadlock except thread "any thread may have a handle, by a static";
        who_waits_for_a_reply_that_somebody_could_give_is_in_no_circle;
        two_semaphores_taken_crosswise_are_a_deadlock except thread "any thread may have a handle, by a static";
        two_rwlocks_written_crosswise_are_a_deadlock except thread "any thread may have a handle, by a static";
        a_barrier_to_which_nobody_else_can_come_is_a_deadlock except thread "any thread may have a handle, by a static";
        two_events_of_which_each_waits_for_the_other_are_a_deadlock except thread "any thread may have a handle, by a static";
        a_lock_and_a_queue_that_wait_for_each_other_are_a_deadlock except thread "any thread may have a handle, by a static";
        who_waits_for_a_circle_sees_what_becomes_of_it;
        a_wait_with_a_bound_is_in_no_circle;
        who_ends_with_an_ancestor_is_in_no_circle;
        who_waits_for_somebody_who_only_takes_his_time_is_in_no_circle;
        who_waits_for_a_queue_that_is_in_a_message_is_in_no_circle;
        who_sleeps_on_its_own_event_sleeps_until_it_is_ended;
    }
    asked {
        one_pool_serves_several_workers;
        a_worker_that_is_not_there_fails_its_tasks_alone;
        a_chunk_of_another_worker_is_done_again_task_by_task except thread "a crash ends the whole program";
        the_urgent_go_before_what_no_worker_has_begun;
        a_task_has_a_time_of_its_own;
        a_task_has_retries_of_its_own except thread "a crash ends the whole program";
        a_task_that_asks_for_it_has_a_process_of_its_own except thread "threads share the program's statics";
        a_task_with_a_process_of_its_own_is_cancelled;
        a_task_has_a_limit_of_memory_of_its_own;
    }
    healing {
        a_worker_that_exits_fails_its_task_only;
        a_worker_that_crashes_fails_its_task_only except thread "a crash ends the whole program";
        a_worker_that_is_killed_fails_its_task_only;
        a_chunk_whose_worker_died_fails_only_with_its_guilty_task except thread "a crash ends the whole program";
        retries_run_the_task_again except thread "a crash ends the whole program";
        a_task_that_takes_too_long_is_ended;
        an_initializer_that_fails_breaks_the_pool;
        a_worker_is_replaced_after_so_many_tasks;
        a_pool_that_is_closed_early_replaces_its_workers_all_the_same;
        a_chunk_that_may_not_run_again_fails_with_its_worker except thread "a crash ends the whole program";
        a_task_timeout_is_not_put_off_by_other_tasks;
        starts_that_failed_are_forgotten_once_one_did_well except thread "a crash ends the whole program";
    }
}
