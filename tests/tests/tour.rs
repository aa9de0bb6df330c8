//! The tour, run by the real command: what a reader learns from it is the same on both backends.

use procbox_tests::{Backend, procbox, program};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn demo(words: &[&str]) -> Output {
    Command::new(procbox()).arg("demo").args(words).output().unwrap()
}

#[test]
fn the_fifteen_scenarios_agree_on_both_backends() {
    let list = String::from_utf8(demo(&["--list"]).stdout).unwrap();
    assert_eq!(list.lines().count(), 15, "{list}");
    let all = demo(&[]);
    let text = String::from_utf8(all.stdout).unwrap();
    assert!(all.status.success(), "{text}");
    assert_eq!(text.matches("native and sandbox agree").count(), 15, "{text}");
}

#[test]
fn the_tour_itself_prints_the_same_lines_natively_and_in_the_sandbox() {
    let [native, sandbox] = [Backend::Native, Backend::Sandbox].map(|backend| {
        let run = Command::new(procbox()).arg("run").arg(program("tour", backend)).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{backend:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    });
    assert_eq!(native, sandbox);
    assert!(native.lines().count() > 50, "{native}");
}

#[test]
fn a_scenario_shows_its_source() {
    let source = demo(&["lock", "--source"]);
    assert!(source.status.success());
    let text = String::from_utf8(source.stdout).unwrap();
    assert!(
        text.starts_with("//!") && text.contains("pub(crate) fn show(ctx: &Context)"),
        "{text}"
    );
}

#[test]
fn an_unknown_scenario_is_refused_with_those_that_there_are() {
    let run = demo(&["waltz"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("waltz") && said.contains("main-loop"), "{said}");
}

/// The signal goes to the command while the program's main is blocked in a join.
#[test]
fn ctrl_c_ends_a_tour_that_is_blocked_in_a_join() {
    for backend in [Backend::Native, Backend::Sandbox] {
        let mut child = Command::new(procbox())
            .arg("run")
            .arg(program("tour", backend))
            .args(["ctrl-c", "wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // It says something before it blocks; then the signal may come at any moment.
        out.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{backend:?}");
    }
}
