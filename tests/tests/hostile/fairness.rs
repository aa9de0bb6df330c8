//! Processes that compute for ever, a thousand at once: others go on, and what is to end ends.
//!
//! Each test does so many things in a row that none of them may have to wait until all who compute
//! have had their turn: then it takes minutes.

use crate::frame::{beside_an_honest_one, until};
use procbox::sandbox::{Grants, Program};
use procbox::{Context, Limit, Process, Sandbox};
use procbox_tests::PATIENCE;
use std::time::Duration;

/// How many compute.
const BUSY: usize = 1000;

fn busy(sandbox: &Sandbox) -> Context {
    let text = r#"(module (memory (export "memory") 1) (func (export "_start") (loop $for_ever (br $for_ever))))"#;
    let program = Program::from_bytes("busy", wat::parse_str(text).unwrap()).unwrap();
    sandbox.context_with(program, Grants::default().quiet(true)).unwrap()
}

fn many(ctx: &Context) -> Vec<Process> {
    (0..BUSY).map(|_| ctx.main([""; 0]).start().unwrap()).collect()
}

fn end(processes: &[Process]) {
    processes.iter().for_each(|process| process.kill().unwrap());
    for process in processes {
        assert_eq!(process.join_timeout(PATIENCE).unwrap().exitcode(), -9);
    }
}

#[test]
fn an_honest_process_goes_on_beside_a_thousand_that_compute() {
    let tries = "to leave no time for others";
    beside_an_honest_one(
        tries,
        |builder| builder.max_processes(BUSY + 10),
        |sandbox, honest| {
            let ctx = busy(sandbox);
            let processes = many(&ctx);
            honest.answers(300);
            end(&processes);
        },
    );
}

#[test]
fn each_of_a_thousand_that_compute_ends_when_it_is_killed_and_not_when_its_turn_comes() {
    let tries = "not to be reached by a kill";
    beside_an_honest_one(
        tries,
        |builder| builder.max_processes(BUSY + 10),
        |sandbox, _| {
            let ctx = busy(sandbox);
            let processes = many(&ctx);
            for victim in processes.iter().step_by(5) {
                victim.kill().unwrap();
                assert_eq!(victim.join_timeout(PATIENCE).unwrap().exitcode(), -9);
            }
            end(&processes[1..2]);
            processes.iter().for_each(|process| process.kill().unwrap());
            until(tries, || processes.iter().all(|process| !process.is_alive()));
        },
    );
}

#[test]
fn a_timeout_holds_beside_a_thousand_that_compute() {
    let tries = "to be too many for a timeout";
    beside_an_honest_one(
        tries,
        |builder| builder.max_processes(BUSY + 10),
        |sandbox, _| {
            let ctx = busy(sandbox);
            let processes = many(&ctx);
            for _ in 0..100 {
                let late = ctx.main([""; 0]).timeout(Duration::from_millis(5)).start().unwrap();
                let status = late.join_timeout(PATIENCE).unwrap();
                assert_eq!(status.limit(), Some(Limit::WallClock), "{status}");
            }
            end(&processes);
        },
    );
}
