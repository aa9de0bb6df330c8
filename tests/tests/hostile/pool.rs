//! Workers of a pool that do not do as workers do: none holds the pool, and each is ended and counted.

use crate::frame::beside_an_honest_one;
use procbox::sandbox::{Grants, Program};
use procbox::{Context, Error, ExitStatus, Limit, Pool, PoolBuilder, Result, Sandbox};
use procbox_tests::PATIENCE;
use std::time::Duration;

/// How long a task may take.
const SOON: Duration = Duration::from_millis(200);
/// How often a worker is started that has done nothing yet.
const STARTS: u64 = 4;

/// A pool's worker that does this. `$tasks` and `$results` are its queues; `$take` takes a chunk of its
/// tasks, and `$answer` answers the one that it took last, if that is one task of no result.
fn worker(body: &str) -> String {
    format!(
        r#"(module
(import "procbox_1" "self_arguments" (func $arguments (param i32) (result i32)))
(import "procbox_1" "message_read" (func $read (param i32 i32) (result i32)))
(import "procbox_1" "message_get" (func $get (param i32 i32 i32 i32 i64) (result i32)))
(import "procbox_1" "message_put" (func $put (param i32 i32 i32 i32 i32 i64) (result i32)))
(import "procbox_1" "message_try_put" (func $try_put (param i32 i32 i32 i32 i32) (result i32)))
(import "procbox_1" "queue_close" (func $close (param i32) (result i32)))
(memory (export "memory") 1)
(data (i32.const 1024) "\ff\ff\ff\ff\ff\ff\ff\7f")
(func $tasks (result i32) (i32.load (i32.const 16)))
(func $results (result i32) (i32.load (i32.const 24)))
(func $take
  (drop (call $get (call $tasks) (i32.const 64) (i32.const 64) (i32.const 0) (i64.const -1))))
(func $answer
  (i32.store8 (i32.const 72) (i32.const 0))
  (i64.store (i32.const 73) (i64.const 0))
  (drop (call $put (call $results) (i32.const 64) (i32.const 17) (i32.const 0) (i32.const 0)
    (i64.const -1))))
(func $junk (param $queue i32) (result i32)
  (call $try_put (local.get $queue) (i32.const 1024) (i32.const 64) (i32.const 0) (i32.const 0)))
(func $spin (loop $l (br $l)))
(func $start
  (drop (call $arguments (i32.const 0)))
  (drop (call $read (i32.const 64) (i32.const 16))))
(func (export "procbox_worker_w") (param i32) (result i32)
  (call $start)
  {body}
  (i32.const 0)))"#
    )
}

type Builder = PoolBuilder<(), ()>;

/// What tasks come to in a pool of such workers, and how many of these were replaced.
fn attempt(
    sandbox: &Sandbox,
    body: &str,
    tasks: usize,
    options: impl Fn(Builder) -> Builder,
) -> (Vec<Result<()>>, u64) {
    let program = Program::from_bytes("workers", wat::parse_str(worker(body)).unwrap()).unwrap();
    let ctx: Context = sandbox.context_with(program, Grants::default().quiet(true)).unwrap();
    let builder = ctx.pool::<(), ()>("w").workers(2).chunk_size(1).task_timeout(SOON);
    let pool: Pool<(), ()> = options(builder).build().unwrap();
    let results: Vec<_> = (0..tasks).map(|_| pool.apply_async(())).collect();
    let ends = results.into_iter().map(|result| match result {
        Ok(result) => result.get_timeout(PATIENCE),
        Err(error) => Err(error),
    });
    let ends: Vec<Result<()>> = ends.collect();
    assert!(!ends.contains(&Err(Error::TimedOut)), "the pool is held: {ends:?}");
    pool.terminate();
    (ends, pool.counters().replaced)
}

/// The workers fail each task, as this says.
#[track_caller]
fn each_fails(tries: &str, body: &str, died_of: impl Fn(ExitStatus) -> bool) {
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            let (ends, replaced) = attempt(sandbox, body, 6, |builder| builder);
            for end in &ends {
                let Err(Error::WorkerDied { status, .. }) = end else {
                    panic!("{tries}: {ends:?}")
                };
                assert!(died_of(*status), "{tries}: {status}");
            }
            assert!((1..=6).contains(&replaced), "{tries}: {replaced} were replaced");
            honest.answers(1);
        },
    );
}

/// The workers break the pool after a few starts.
#[track_caller]
fn breaks(tries: &str, body: &str) {
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            let (ends, replaced) = attempt(sandbox, body, 6, |builder| builder);
            for end in &ends {
                assert!(matches!(end, Err(Error::PoolBroken(_))), "{tries}: {ends:?}");
            }
            // Those of the other slot may have been started too.
            assert!((1..=STARTS + 1).contains(&replaced), "{tries}: {replaced} were replaced");
            honest.answers(1);
        },
    );
}

fn killed(status: ExitStatus) -> bool {
    status == ExitStatus::limited(Limit::WallClock) || status.exitcode() == -9
}

#[test]
fn a_worker_that_takes_no_task_breaks_its_pool_after_a_few_starts() {
    breaks("to return at once", "");
    breaks("to crash at once", "unreachable");
    breaks("to answer what it was not asked", "(drop (call $junk (call $results))) (call $spin)");
    breaks("to flood the results", "(loop $l (drop (call $junk (call $results))) (br $l))");
}

#[test]
fn a_worker_that_fills_or_closes_its_queue_of_tasks_is_ended() {
    let full = "(loop $l (br_if $l (i32.ge_s (call $junk (call $tasks)) (i32.const 0))))";
    breaks("to fill its own queue and wait", &format!("{full} (call $spin)"));
    breaks("to close its own queue and wait", "(drop (call $close (call $tasks))) (call $spin)");
}

#[test]
fn a_worker_that_takes_a_task_and_does_not_answer_is_ended_with_it() {
    each_fails("to keep a task", "(call $take) (call $spin)", |status| {
        status == ExitStatus::limited(Limit::WallClock)
    });
    each_fails("to return with a task", "(call $take)", |status| status.exitcode() == 0);
    let flood = "(call $take) (loop $l (drop (call $junk (call $results))) (br $l))";
    each_fails("to flood the results after a task", flood, killed);
    let closed = "(call $take) (drop (call $close (call $results))) (call $spin)";
    each_fails("to close the results", closed, killed);
}

#[test]
fn a_worker_that_answers_and_does_not_end_is_ended_and_its_answers_count() {
    let tries = "to stay after its one task";
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            let body = "(call $take) (call $answer) (call $spin)";
            let (ends, replaced) = attempt(sandbox, body, 6, |builder| builder.fresh_per_task());
            assert!(ends.iter().all(Result::is_ok), "{ends:?}");
            assert!((4..=6).contains(&replaced), "{replaced} were replaced");
            honest.answers(1);
        },
    );
    // Without that it has more tasks to do, which it does not.
    let tries = "to do one task only";
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, _| {
            let body = "(call $take) (call $answer) (call $spin)";
            let (ends, replaced) = attempt(sandbox, body, 6, |builder| builder);
            let done = ends.iter().filter(|end| end.is_ok()).count();
            assert!(done >= 2 && replaced >= 1, "{ends:?}: {replaced} were replaced");
        },
    );
}

#[test]
fn a_worker_that_answers_another_task_than_its_first_is_ended_with_both() {
    // The first would have all the time there is, as long as others come.
    let body = "(call $take) (call $take) (call $answer) (call $spin)";
    each_fails("to keep a task and answer the next", body, killed);
}

#[test]
fn workers_that_do_one_task_and_leave_the_others_break_the_pool() {
    let tries = "to do one task and return with more at hand";
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            let body = "(call $take) (call $answer)";
            let (ends, replaced) = attempt(sandbox, body, 300, |builder| builder);
            let done = ends.iter().filter(|end| end.is_ok()).count();
            let why = |end: &Result<()>| match end {
                Err(Error::PoolBroken(why)) => why.contains("returns again and again"),
                end => end.is_ok(),
            };
            assert!(ends.iter().all(why), "{ends:?}");
            // Each slot has had sixteen that left, and one for what was done.
            assert!(
                (17..=40).contains(&done) && replaced <= 40,
                "{done} done, {replaced} replaced"
            );
            honest.answers(1);
        },
    );
    // Told to do one task each, they do their share.
    let body = "(call $take) (call $answer)";
    beside_an_honest_one(
        "to do its one task",
        |b| b,
        |sandbox, _| {
            let (ends, replaced) =
                attempt(sandbox, body, 300, |builder| builder.max_tasks_per_child(1));
            assert!(ends.iter().all(Result::is_ok), "{ends:?}");
            assert_eq!(replaced, 0);
        },
    );
}

#[test]
fn a_worker_that_answers_one_task_of_a_chunk_at_a_time_is_ended_each_time() {
    let tries = "to answer one task of many and go on";
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            let body = worker("(loop $l (call $take) (call $answer) (br $l))");
            let program = Program::from_bytes("workers", wat::parse_str(body).unwrap()).unwrap();
            let ctx = sandbox.context_with(program, Grants::default().quiet(true)).unwrap();
            let pool = ctx.pool::<(), ()>("w").workers(2).chunk_size(10).build().unwrap();
            let results = pool.starmap_async(std::iter::repeat_n((), 40)).unwrap();
            // What it takes after that fails with it.
            let end = results.get_timeout(PATIENCE);
            assert!(matches!(end, Ok(_) | Err(Error::WorkerDied { .. })), "{end:?}");
            let counters = pool.counters();
            assert_eq!(counters.done + counters.failed, 40);
            assert!((2..=40).contains(&counters.replaced), "{counters:?}");
            honest.answers(1);
        },
    );
}

#[test]
fn a_task_that_is_held_is_cancelled() {
    let tries = "to keep a task that is cancelled";
    beside_an_honest_one(
        tries,
        |b| b,
        |sandbox, honest| {
            for body in ["(call $take) (call $spin)", "(call $spin)"] {
                let program = Program::from_bytes("workers", wat::parse_str(worker(body)).unwrap());
                let grants = Grants::default().quiet(true);
                let ctx = sandbox.context_with(program.unwrap(), grants).unwrap();
                let pool = ctx.pool::<(), ()>("w").workers(2).chunk_size(1).build().unwrap();
                for _ in 0..10 {
                    let tasks: Vec<_> = (0..6).map(|_| pool.apply_async(()).unwrap()).collect();
                    assert!(tasks.iter().all(|task| task.cancel()), "{tries}");
                    let ends: Vec<_> = tasks.iter().map(|task| task.get()).collect();
                    assert_eq!(ends, vec![Err(Error::Cancelled); 6], "{tries}");
                }
                assert_eq!(pool.counters().failed, 60, "{tries}");
            }
            honest.answers(1);
        },
    );
}
