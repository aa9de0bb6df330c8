//! The tour: what multiprocessing is about, in fifteen small scenarios, one file each.
//!
//!     procbox run target/programs/tour.wasm [SCENARIO]
//!     target/programs/tour [SCENARIO]
//!
//! `tour` alone shows all of them, `tour --list` says which there are, and `tour --source SCENARIO`
//! prints one's source. Both backends print the same,
//! so a scenario prints no pids and no times, and where two processes print, one waits for the other.

use anyhow::Context as _;
use procbox_guest::Context;

/// What a scenario comes to.
type Shown = anyhow::Result<()>;

/// One of the small programs.
struct Scenario {
    name: &'static str,
    about: &'static str,
    show: fn(&Context) -> Shown,
    source: &'static str,
}

macro_rules! scenarios {
    ($($name:literal $module:ident $about:literal;)*) => {
        $(mod $module;)*
        const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: $name,
            about: $about,
            show: $module::show,
            source: include_str!(concat!(stringify!($module), ".rs")),
        },)*];
    };
}

scenarios! {
    "ctrl-c" s01_ctrl_c "main is blocked in a join: Ctrl-C is answered all the same";
    "exit" s02_exit "a worker that exits ends itself alone";
    "main-loop" s03_main_loop "a worker asks main to quit";
    "tick" s04_tick "a worker ticks three times";
    "two-workers" s05_two_workers "two workers, and a main that ends before them";
    "struct-worker" s06_struct_worker "a worker may be a struct with a `run`";
    "daemon" s07_daemon "who ends with main, and who does not";
    "lock" s08_lock "two workers write lines to one file";
    "semaphore" s09_semaphore "three workers and two permits";
    "event" s10_event "one waits for ever, one only for a while";
    "queue" s11_queue "values between processes";
    "pipe" s12_pipe "messages both ways, and one way";
    "pool-async" s13_pool_async "a pool of three does four tasks";
    "pool-in-order" s14_pool_in_order "results are fetched in the order of the tasks";
    "authkey" s15_authkey "strangers meet, if they have the key";
}

fn main() -> anyhow::Result<()> {
    let ctx = procbox_guest::init()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => SCENARIOS.iter().try_for_each(|scenario| show(&ctx, scenario)),
        ["--list"] => {
            SCENARIOS.iter().for_each(|it| println!("{:<14} {}", it.name, it.about));
            Ok(())
        }
        ["--source", asked] => find(asked).map(|scenario| print!("{}", scenario.source)),
        ["ctrl-c", "wait"] => s01_ctrl_c::wait(&ctx),
        [asked] => show(&ctx, find(asked)?),
        _ => anyhow::bail!("one scenario at a time"),
    }
}

fn find(asked: &str) -> anyhow::Result<&'static Scenario> {
    let found = SCENARIOS.iter().find(|scenario| scenario.name == asked);
    found.with_context(|| format!("no scenario `{asked}`: `tour --list` says which there are"))
}

fn show(ctx: &Context, Scenario { name, about, show, .. }: &Scenario) -> Shown {
    println!("== {name}: {about}");
    show(ctx).map_err(|e| e.context(format!("scenario {name}")))
}
