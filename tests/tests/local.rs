//! Every case of the contract with workers on threads, at both places: `local::parent::NAME`,
//! `local::worker::NAME`. Each runs in a program of its own, whose threads go with it.

use procbox_cases::{Place, Trial, conformance};
use procbox_tests::{Backend, PATIENCE, program};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

conformance!(local, run, threads);

/// How [`procbox::Error::Unsupported`] begins.
const UNSUPPORTED: &str = "this backend has no ";

/// The cases that need what threads cannot do: each ends with [`procbox::Error::Unsupported`], some of them
/// only where they kill what they are done with.
const BEYOND_THREADS: &[&str] = &[];

fn run(trial: Trial) {
    let name = trial.name();
    let (status, said) = outcome(trial);
    if BEYOND_THREADS.contains(&name) {
        let is_unsupported = said
            .lines()
            .any(|line| line.strip_prefix("error: ").is_some_and(|why| why.contains(UNSUPPORTED)));
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
