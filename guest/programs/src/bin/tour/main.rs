//! The tour: what multiprocessing is about, in fifteen small scenarios, one file each.
//!
//!     procbox run target/programs/tour.wasm [SCENARIO]
//!     target/programs/tour [SCENARIO]
//!
//! `tour` alone shows all of them, `tour --list` says which there are. Both backends print the same,
//! so a scenario prints no pids and no times, and where two processes print, one waits for the other.

mod s01_ctrl_c;
mod s02_exit;
mod s03_main_loop;
mod s04_tick;
mod s05_two_workers;
mod s06_struct_worker;
mod s07_daemon;
mod s08_lock;
mod s09_semaphore;
mod s10_event;
mod s11_queue;
mod s12_pipe;
mod s13_pool_async;
mod s14_pool_in_order;
mod s15_authkey;

use procbox_guest::Context;

/// What a scenario comes to.
type Shown = anyhow::Result<()>;

/// Name, what it shows, and the function that shows it.
type Scenario = (&'static str, &'static str, fn(&Context) -> Shown);

const SCENARIOS: [Scenario; 15] = [
    ("ctrl-c", "main is blocked in a join: Ctrl-C is answered all the same", s01_ctrl_c::show),
    ("exit", "a worker that exits ends itself alone", s02_exit::show),
    ("main-loop", "a worker asks main to quit", s03_main_loop::show),
    ("tick", "a worker ticks three times", s04_tick::show),
    ("two-workers", "two workers, and a main that ends before them", s05_two_workers::show),
    ("struct-worker", "a worker may be a struct with a `run`", s06_struct_worker::show),
    ("daemon", "who ends with main, and who does not", s07_daemon::show),
    ("lock", "two workers write lines to one file", s08_lock::show),
    ("semaphore", "three workers and two permits", s09_semaphore::show),
    ("event", "one waits for ever, one only for a while", s10_event::show),
    ("queue", "values between processes", s11_queue::show),
    ("pipe", "messages both ways, and one way", s12_pipe::show),
    ("pool-async", "a pool of three does four tasks", s13_pool_async::show),
    ("pool-in-order", "results are fetched in the order of the tasks", s14_pool_in_order::show),
    ("authkey", "strangers meet, if they have the key", s15_authkey::show),
];

fn main() -> anyhow::Result<()> {
    let ctx = procbox_guest::init()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => SCENARIOS.iter().try_for_each(|scenario| show(&ctx, scenario)),
        ["--list"] => {
            SCENARIOS.iter().for_each(|(name, about, _)| println!("{name:<14} {about}"));
            Ok(())
        }
        ["ctrl-c", "wait"] => s01_ctrl_c::wait(&ctx),
        [asked] => match SCENARIOS.iter().find(|(name, _, _)| name == asked) {
            Some(scenario) => show(&ctx, scenario),
            None => anyhow::bail!("no scenario `{asked}`: `tour --list` says which there are"),
        },
        _ => anyhow::bail!("one scenario at a time"),
    }
}

fn show(ctx: &Context, (name, about, run): &(&str, &str, fn(&Context) -> Shown)) -> Shown {
    println!("== {name}: {about}");
    run(ctx).map_err(|e| e.context(format!("scenario {name}")))
}
