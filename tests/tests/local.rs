//! Every case of the contract with workers on threads, at both places: `local::parent::NAME`,
//! `local::worker::NAME`. Each runs in a program of its own, whose threads go with it.

use procbox_cases::{Place, Trial, conformance};
use procbox_tests::{Backend, PATIENCE, program};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

conformance!(local, run, threads);

/// How [`procbox::Error::Unsupported`] begins, as it is printed for people and for programmers.
const UNSUPPORTED: [&str; 2] = ["this backend has no ", "Unsupported("];

/// The cases that need what threads cannot do: each ends with [`procbox::Error::Unsupported`], some of them
/// only where they kill what they are done with.
const BEYOND_THREADS: &[&str] = &[
    "a_running_process_is_alive_and_has_no_exitcode",
    "a_running_process_cannot_be_closed",
    "active_children_are_those_that_live",
    "terminate_ends_a_blocked_process",
    "kill_ends_a_blocked_process",
    "terminate_ends_a_busy_loop",
    "kill_ends_a_busy_loop",
    "a_process_can_be_killed_at_once_after_its_start",
    "interrupt_ends_a_process_that_does_not_answer_it",
    "kill_tree_ends_what_a_process_has_started_too",
    "a_timeout_ends_what_a_process_has_started_too",
    "what_a_process_has_used_is_said",
    "busy_loops_starve_nobody",
    "terminate_is_143_and_kill_137_to_a_shell",
    "out_of_wall_clock_time_names_the_limit",
    "out_of_cpu_time_is_xcpu",
    "waiting_uses_no_cpu_time",
    "a_kill_is_not_a_limit",
    "a_killed_holder_gives_the_lock_back",
    "a_waiter_gets_the_lock_of_a_killed_holder",
    "a_killed_waiter_takes_no_lock_with_it",
    "a_killed_holder_gives_its_permit_back",
    "a_killed_waiter_takes_no_permit_with_it",
    "a_killed_waiter_hurts_nobody",
    "room_for_a_small_message_is_not_kept_by_a_large_one",
    "killed_producers_never_break_a_queue",
    "killed_consumers_lose_only_what_they_had",
    "a_killed_getter_takes_no_wake_with_it",
    "an_rlock_is_free_when_it_was_released_as_often",
    "a_killed_holder_gives_the_rlock_back_however_often_it_had_it",
    "a_killed_holder_gives_its_bounded_permit_back",
    "a_killed_waiter_takes_no_bounded_permit_with_it",
    "a_killed_waiter_takes_no_notification_with_it",
    "waiters_that_are_killed_count_no_more",
    "who_is_woken_is_told_of_a_holder_that_was_killed",
    "a_party_that_is_killed_there_breaks_the_barrier",
    "the_undone_items_of_a_killed_consumer_are_told",
    "a_consumer_that_is_killed_while_it_waits_loses_nothing",
    "a_killed_reader_leaves_nothing_behind",
    "a_killed_writer_gives_the_lock_back_and_all_are_told",
    "a_killed_waiter_keeps_nobody_from_the_lock",
    "another_takes_over_from_one_that_is_killed",
    "a_region_outlives_who_made_it_and_who_was_killed",
    "a_value_is_never_half_written",
    "a_killed_changer_of_a_value_is_told",
    "who_is_killed_with_messages_in_place_takes_no_other_with_it",
    "an_end_whose_worker_was_killed_is_gone",
    "a_kill_wakes_who_waits_at_the_other_end",
    "a_kill_wakes_who_cannot_send_to_the_other_end",
    "ready_is_woken_by_whatever_comes_first",
    "main_is_an_entry_too",
    "input_is_given_and_output_is_kept",
    "strangers_with_the_key_talk",
    "ready_waits_for_connections_and_listeners_too",
    "ready_sees_the_end_of_a_process_beside_sockets",
    "a_wrong_key_is_refused_on_both_sides",
    "a_refused_client_leaves_the_listener_as_it_was",
    "a_message_of_a_mebibyte_crosses",
    "a_listener_that_is_killed_frees_its_name",
    "a_killed_peer_is_gone",
    "handles_do_not_cross_a_connection",
    "a_daemon_ends_with_its_killed_parent",
    "another_child_outlives_its_killed_parent",
    "a_warm_context_starts_processes_as_any_other",
    "a_hook_is_called_in_each_warm_process",
    "a_warm_process_knows_who_it_is",
    "a_worker_that_does_not_return_makes_nothing_warm",
    "a_worker_that_takes_too_long_makes_nothing_warm",
    "a_worker_that_leaves_something_open_makes_nothing_warm",
    "a_sandboxed_process_makes_no_image",
    "who_ends_with_an_ancestor_is_in_no_circle",
    "who_sleeps_on_its_own_event_sleeps_until_it_is_ended",
    "a_worker_that_is_killed_fails_its_task_only",
    "a_task_that_takes_too_long_is_ended",
    "a_task_timeout_is_not_put_off_by_other_tasks",
    "a_task_that_runs_is_ended_with_its_worker",
    "a_task_has_a_time_of_its_own",
    "an_end_of_a_pipe_is_awaited",
    "permits_of_who_is_killed_are_awaited",
    "a_lock_of_who_is_killed_is_awaited",
    "processes_and_their_values_are_awaited",
    "what_those_who_are_killed_had_on_ledgers_is_awaited",
];

fn run(trial: Trial) {
    let name = trial.name();
    let (status, said) = outcome(trial);
    if BEYOND_THREADS.contains(&name) {
        let is_unsupported = UNSUPPORTED.iter().any(|how| said.contains(how));
        assert!(status == Some(1) && is_unsupported, "{status:?}, not Unsupported: {said}");
    } else {
        assert!(status == Some(0), "{status:?}: {said}");
    }
}

/// The exit status of the program that ran a trial, and what it said on stderr.
fn outcome(trial: Trial) -> (Option<i32>, String) {
    let place = match trial.place() {
        Place::Parent => "parent",
        Place::Worker => "worker",
    };
    let mut command = Command::new(program("conformance", Backend::Native));
    command.args(["on-threads", place, trial.name()]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program");
    let said = child.stderr.take().expect("its stderr");
    let (tell, told) = channel();
    // It says all that it has to say, and then it has ended.
    std::thread::spawn(move || tell.send(std::io::read_to_string(said).unwrap_or_default()));
    match told.recv_timeout(PATIENCE) {
        Ok(said) => (child.wait().expect("its status").code(), said),
        Err(_) => {
            end(&mut child);
            panic!("it hangs");
        }
    }
}

fn end(child: &mut Child) {
    // One that has ended meanwhile needs it no more.
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn what_is_beyond_threads_is_a_case() {
    for name in BEYOND_THREADS {
        assert!(procbox_cases::find(name).is_some(), "there is no case {name}");
    }
}
