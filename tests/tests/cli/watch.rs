//! What a run can be watched by: a trace in a file, figures for a scraper.

use super::*;
use serde_json::Value;
use std::net::TcpStream;

/// The records of a trace that are of this phase and category.
fn of<'a>(trace: &'a [Value], ph: &'a str, cat: &'a str) -> Vec<&'a Value> {
    trace.iter().filter(|r| r["ph"] == ph && (r["cat"] == cat || cat.is_empty())).collect()
}

/// Runs a command that leaves a trace.
fn traced(words: &str, paths: &[&Path]) -> (Ran, Vec<Value>) {
    let folder = folder();
    let file = folder.path().join("trace.json");
    let mut command = command(words, &[Path::new("--trace"), &file]);
    let ran = run(command.args(paths));
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    (ran, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

#[test]
fn a_trace_has_every_task_and_process_from_its_begin_to_its_end() {
    let licenses = licenses();
    for backend in BOTH {
        let program = program("word-count", backend);
        let paths: Vec<_> = [&program].into_iter().chain(&licenses).map(PathBuf::as_path).collect();
        let (ran, trace) = traced("map -q -j 2", &paths);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        for (ph, end, cat) in [("b", "e", "task"), ("b", "e", "wait")] {
            let (begun, ended) = (of(&trace, ph, cat), of(&trace, end, cat));
            let ids = |of: &[&Value]| {
                let mut ids: Vec<_> = of.iter().map(|r| r["id"].to_string()).collect();
                ids.sort();
                ids
            };
            assert_eq!(ids(&begun), ids(&ended), "{cat}");
        }
        assert_eq!(of(&trace, "b", "task").len(), licenses.len());
        let (begun, ended) = (of(&trace, "B", "process"), of(&trace, "E", ""));
        assert_eq!(begun.len(), ended.len(), "{trace:?}");
        assert!(begun.len() >= 2, "{trace:?}");
        // A task is on the track of the process that ran it.
        let tracks: Vec<_> = begun.iter().map(|r| &r["pid"]).collect();
        assert!(of(&trace, "b", "task").iter().all(|r| tracks.contains(&&r["pid"])), "{trace:?}");
    }
}

#[test]
fn a_trace_says_what_ended_a_process() {
    for backend in BOTH {
        let paths = [&program("plain", backend), Path::new("spin")];
        let (ran, trace) = traced("run -q --timeout 50ms", &paths);
        assert_eq!(ran.status, 124, "{}", ran.stderr);
        let names: Vec<_> = of(&trace, "i", "").iter().map(|r| r["name"].clone()).collect();
        assert!(names.iter().any(|n| n == "out of wall-clock time"), "{names:?}");
    }
}

#[test]
fn a_trace_that_cannot_be_written_names_the_option() {
    let mut command =
        command("run --trace /does/not/exist", &[&program("plain", Backend::Sandbox)]);
    let ran = run(&mut command);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    says(&ran, &["--trace", "/does/not/exist"]);
}

/// The figures, asked for as a scraper does.
fn scrape(at: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn figures_are_offered_while_it_runs() {
    for backend in BOTH {
        let mut command = command("map --metrics 0", &[&program("word-count", backend)]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let at = line.split("http://").nth(1).and_then(|url| url.split('/').next()).unwrap();
        stdin.write_all(b"one\ntwo words\n").unwrap();
        let began = Instant::now();
        let figures = loop {
            let text = scrape(at);
            if text.contains("procbox_tasks_done_total 2") || began.elapsed() > PATIENCE {
                break text;
            }
            sleep(Duration::from_millis(5));
        };
        for line in [
            "HTTP/1.1 200 OK",
            "application/openmetrics-text",
            "procbox_tasks_given_total 2",
            "procbox_tasks_done_total 2",
            "procbox_task_duration_seconds_count 2",
            "# EOF",
        ] {
            assert!(figures.contains(line), "no {line:?} in {figures}");
        }
        drop(stdin);
        assert_eq!(wait(&mut child).code(), Some(0));
        assert!(TcpStream::connect(at).is_err(), "it still listens");
    }
}

#[test]
fn a_graph_shows_in_what_a_program_hangs() {
    let dir = folder();
    let file = dir.path().join("waits.dot");
    // Its event is never set.
    let program = program("conformance", Backend::Sandbox);
    let mut command = command("run --quiet --waits", &[&file, &program]);
    let mut child =
        command.arg("block").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let graph = loop {
        let graph = std::fs::read_to_string(&file).unwrap_or_default();
        if graph.contains("-> event") || began.elapsed() > PATIENCE {
            break graph;
        }
        sleep(Duration::from_millis(5));
    };
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(wait(&mut child).code(), Some(143));
    let left = std::fs::read_to_string(&file).unwrap();
    assert!(graph.starts_with("digraph") && graph.contains("-> event"), "{graph}");
    assert!(left.contains("-> event"), "{left}");
}

#[test]
fn procbox_log_has_lines_of_processes_and_tasks() {
    for backend in BOTH {
        let mut logged = command("map", &[&program("word-count", backend)]);
        let ran = run_on(logged.env("PROCBOX_LOG", "debug"), "one\n");
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        says(&ran, &["process{pid=", "started", "task{pool=", "done", "exited with code 0"]);
        let mut silent = command("map", &[&program("word-count", backend)]);
        assert!(!run_on(&mut silent, "one\n").stderr.contains("process{"));
    }
    let mut command = command("run", &[&program("plain", Backend::Sandbox)]);
    let ran = run(command.env("PROCBOX_LOG", "loud"));
    assert_ne!(ran.status, 0);
    says(&ran, &["PROCBOX_LOG", "info"]);
}
