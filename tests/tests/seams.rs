//! Seams that only reading the sources can hold: nothing asks the system for the time or for random
//! bytes but the files whose business that is.

use std::path::{Path, PathBuf};

/// What asks the system for the time or for random bytes.
const ASKING: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "clock_gettime",
    "getrandom",
    "/dev/urandom",
    "/dev/random",
    "RandomState",
    "rand::",
];

/// What names the system's clock and random bytes, or sleeps by that clock: a file of the sandbox
/// that does so goes round its runtime.
const GOING_ROUND: &[&str] = &[
    "SystemClock",
    "SystemRandom",
    "park_timeout",
    "thread::sleep",
    "wait_timeout",
    "sync::thread",
];

/// The libraries. The command, benches, tests, samples and the programs of tests are users of them:
/// they measure and show real time.
const LIBRARIES: &[&str] = &["abi/src", "core/src", "guest/src", "host/src", "native/src"];

/// Who may ask.
const MAY_ASK: &[(&str, &str)] = &[
    ("core/src/time.rs", "the system's clock is here"),
    ("core/src/random.rs", "the system's random bytes are here"),
    ("core/src/runner/reseed.rs", "it looks for the keys of std's maps, and draws none to keep"),
    (
        "host/src/compile/",
        "compiling takes real time, in a process of its own, before any guest runs",
    ),
    ("host/src/runtime/", "this is the seam"),
    ("native/src/confine/files.rs", "paths that a confined program may open, not that this opens"),
    ("native/src/limits.rs", "the CPU time of another process: no clock to live by"),
    ("native/src/sync/futex.rs", "the kernel's own clock, for a deadline that the kernel keeps"),
];

/// The sources under a folder, by their path from the root of the repository.
fn sources(root: &Path, folder: &str, found: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            sources(root, &name, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
            found.push((name, text));
        }
    }
}

/// The places with one of the words, of the code that is neither comment nor unit test.
fn places(folders: &[&str], words: &[&str]) -> Vec<(String, String)> {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    folders.iter().for_each(|folder| sources(&root, folder, &mut found));
    assert!(found.len() > 20, "the sources are not where they were: {} files", found.len());
    let mut places = Vec::new();
    for (name, text) in found {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (i, line) in code.lines().enumerate() {
            let line = line.trim();
            if !line.starts_with("//") && words.iter().any(|word| line.contains(word)) {
                places.push((name.clone(), format!("{name}:{}: {line}", i + 1)));
            }
        }
    }
    places
}

#[test]
fn only_the_seams_ask_for_time_and_random_bytes() {
    let may = |name: &str| MAY_ASK.iter().any(|(allowed, _)| name.starts_with(allowed));
    let places = places(LIBRARIES, ASKING);
    let others: Vec<&String> =
        places.iter().filter(|(name, _)| !may(name)).map(|(_, place)| place).collect();
    assert!(others.is_empty(), "they ask the system themselves: {others:#?}");
}

#[test]
fn whoever_may_ask_asks() {
    let places = places(LIBRARIES, ASKING);
    let idle: Vec<_> = MAY_ASK
        .iter()
        .filter(|(allowed, _)| !places.iter().any(|(name, _)| name.starts_with(allowed)))
        .collect();
    assert!(idle.is_empty(), "exceptions that nobody needs: {idle:#?}");
}

#[test]
fn nothing_in_the_sandbox_goes_round_its_runtime() {
    // Threads are named where the models put theirs in their place.
    // What is kept of messages that have gone nobody in a sandbox sees: it goes by the real time.
    let may = |name: &str| {
        name.starts_with("host/src/runtime/")
            || ["host/src/sync.rs", "host/src/kept.rs"].contains(&name)
    };
    let places = places(&["host/src"], GOING_ROUND);
    let others: Vec<_> = places.iter().filter(|(name, _)| !may(name)).collect();
    assert!(others.is_empty(), "they go round the runtime: {others:#?}");
}
