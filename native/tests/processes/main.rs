//! The native backend, with real processes. This binary is its own program: the workers are below,
//! and `main` runs the cases (libtest has no `main` of ours that could call `init`).
//!
//! An argument selects the cases whose names contain it; `--bench` measures instead, `--walk` ends
//! processes after every instruction, or every so many, `--storm` kills so many, `--parents` so many parents.

mod cases;
mod confined;
mod forgotten;
mod kernel;
mod measure;
mod space;
mod stopped;
mod storm;
mod tree;
mod walk;
mod workers;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// A case that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    procbox_native::init();
    let args = procbox_native::args();
    if let Some(answer) = cases::main_of_another(&args) {
        std::process::exit(answer);
    }
    if args.iter().any(|arg| arg == "--bench") {
        return measure::all(args.iter().any(|arg| arg == "start"));
    }
    let number_after = |option: &str| {
        let at = args.iter().position(|arg| arg == option)?;
        Some(args.get(at + 1).and_then(|number| number.parse().ok()).unwrap_or(1))
    };
    if let Some(kills) = number_after("--storm") {
        let found = storm::storm(kills);
        println!("{found:?}");
        std::process::exit(i32::from(found.is_err()));
    }
    if let Some(many) = number_after("--parents") {
        let longest = storm::parents(many, 8);
        println!("{many} parents killed; gone after at most {longest:?}");
        std::process::exit(i32::from(longest.is_err()));
    }
    if let Some(stride) = number_after("--walk") {
        let killed = walk::told(stride);
        println!("ended in the middle: {killed:?} processes");
        std::process::exit(i32::from(killed.is_err()));
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in confined::ALL
        .iter()
        .chain(forgotten::ALL)
        .chain(kernel::ALL)
        .chain(space::ALL)
        .chain(stopped::ALL)
        .chain(storm::ALL)
        .chain(tree::ALL)
        .chain(walk::ALL)
        .chain(cases::ALL)
    {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let begin = Instant::now();
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                println!("test {name} ... HANGS");
                std::process::exit(1);
            }
        });
        let ended = catch_unwind(case);
        drop(done);
        let _ = watch.join();
        let ok = match &ended {
            Ok(Ok(())) => true,
            Ok(Err(e)) => {
                println!("{name}: {e}");
                false
            }
            Err(_) => false,
        };
        println!("test {name} ... {} ({:?})", if ok { "ok" } else { "FAILED" }, begin.elapsed());
        if ok { passed += 1 } else { failed += 1 }
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

/// Waits for a condition; says what did not come true.
fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
