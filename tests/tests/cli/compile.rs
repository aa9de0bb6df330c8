//! Compiling: what it may cost, that it can be stopped, and what is kept of it.

use super::ctrl_c::{descendants, still_there_after};
use super::*;

/// A small program that takes a compiler a gigabyte and many seconds: at each of its loops each of its
/// many variables may be another.
fn expensive(folder: &Path) -> PathBuf {
    const VARIABLES: usize = 2000;
    let each = |n: usize| {
        let of = |factor: usize| (n * factor + factor) % VARIABLES;
        let (one, other, to, next) = (of(7), of(13), n % VARIABLES, of(3));
        format!(
            "(loop (block (br_if 0 (local.get 0)) (local.set {to} (i32.add (local.get {one}) \
             (local.get {other})))) (br_if 0 (local.get {next})))"
        )
    };
    let (locals, loops) = (" i32".repeat(VARIABLES), (0..1500).map(each).collect::<String>());
    let text = format!(r#"(module (func (export "_start") (local{locals}) {loops}))"#);
    let wasm = wat::parse_str(text).unwrap();
    assert!(wasm.len() < 64 << 10, "{}", wasm.len());
    written(folder, "expensive.wasm", &wasm)
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A program that ends with this status.
fn exits(folder: &Path, status: i32) -> PathBuf {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {status}))))"#
    );
    written(folder, &format!("{status}.wat"), text.as_bytes())
}

/// A command line whose cache is in this folder.
fn caching(folder: &Path, words: &str, paths: &[&Path]) -> Command {
    let mut command = command(words, paths);
    command.env("XDG_CACHE_HOME", folder);
    command
}

#[test]
fn what_costs_too_much_to_compile_is_refused_by_the_name_of_the_limit() {
    let dir = folder();
    let program = expensive(dir.path());
    for words in ["run", "map", "workers"] {
        let ran = run_on(&mut command(words, &[&program]), "a line\n");
        check(&ran, 126, "");
        says(&ran, &["compiling it takes more than 16", "MiB of memory"]);
    }
    let ran = run(&mut command("run --compile-memory 8G --compile-time 1s", &[&program]));
    check(&ran, 126, "");
    says(&ran, &["compiling it takes more than 1 s of CPU time"]);
    // However little there is, it is said, and nothing hangs.
    let small = exits(dir.path(), 0);
    for memory in ["1", "100K", "1M", "2M", "3M"] {
        let words = format!("run --no-cache --compile-memory {memory}");
        let ran = run(&mut command(&words, &[&small]));
        check(&ran, 126, "");
        says(&ran, &["MiB of memory"]);
    }
}

/// Compiles without an end that a test would wait for.
const WITHOUT_LIMITS: &str = "--no-cache --compile-memory 64G --compile-time 1h";

#[test]
fn a_timeout_holds_while_a_program_is_compiled() {
    let dir = folder();
    let program = expensive(dir.path());
    for word in ["run", "map"] {
        let words = format!("{word} {WITHOUT_LIMITS} --timeout 300ms");
        check(&run_on(&mut command(&words, &[&program]), "a line\n"), 124, "");
    }
}

/// Starts a command that compiles, and has a signal sent to it alone once it does. What it has ended
/// with, after which no compiler may be there.
fn ended_while_compiling(word: &str, signal: &str) -> ExitStatus {
    let dir = folder();
    let words = format!("{word} {WITHOUT_LIMITS}");
    let mut command = command(&words, &[&expensive(dir.path())]);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = piped.process_group(0).spawn().unwrap();
    let is_compiler = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "procbox-compile"
    };
    let began = Instant::now();
    let compilers = loop {
        let below = descendants(child.id());
        if below.iter().any(is_compiler) {
            break below;
        }
        assert!(began.elapsed() < PATIENCE, "it does not compile: {:?}", child.try_wait());
        sleep(Duration::from_millis(1));
    };
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = wait(&mut child);
    assert_eq!(still_there_after(compilers, PATIENCE), [] as [String; 0], "{word} {signal}");
    status
}

#[test]
fn a_signal_ends_compiling_and_no_compiler_outlives_the_command() {
    use std::os::unix::process::ExitStatusExt;
    for word in ["run", "map"] {
        for (signal, due) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
            assert_eq!(ended_while_compiling(word, signal).code(), Some(due), "{word} {signal}");
        }
    }
    for word in ["run", "map"] {
        assert_eq!(ended_while_compiling(word, "KILL").signal(), Some(9), "{word}");
    }
}

#[test]
fn what_was_compiled_is_kept_and_not_compiled_again() {
    let dir = folder();
    let (cache, program) = (dir.path().join("cache"), exits(dir.path(), 3));
    // With this little memory nothing can be compiled.
    let kept = |words: &str| {
        run(&mut caching(&cache, &format!("run --compile-memory 1 {words}"), &[&program])).status
    };
    assert_eq!(kept(""), 126);
    let compile = |words: &str| run(&mut caching(&cache, words, &[&program]));
    let first = compile("compile");
    let name = program.display();
    assert!(first.stdout.starts_with(&format!("{name}: ")), "{first:?}");
    assert!(first.stdout.contains(" KiB in ") && first.stdout.ends_with(" s\n"), "{first:?}");
    assert_eq!((kept(""), kept("--no-cache"), kept("--fuel 1000")), (3, 126, 126));
    assert!(compile("compile").stdout.ends_with("KiB, in the cache already\n"));
    assert_eq!(compile("compile --fuel").status, 0);
    assert_eq!((kept("--fuel 1000"), kept("")), (3, 3));
    // `run` keeps too, unless it is told not to.
    let other = dir.path().join("other");
    let has = || other.join("procbox/modules").read_dir().map_or(0, Iterator::count);
    check(&run(&mut caching(&other, "run --no-cache", &[&program])), 3, "");
    assert_eq!(has(), 0);
    check(&run(&mut caching(&other, "run", &[&program])), 3, "");
    assert_eq!(has(), 1);
    let nowhere =
        run(command("compile", &[&program]).env_remove("XDG_CACHE_HOME").env_remove("HOME"));
    assert_eq!(nowhere.status, 2, "{nowhere:?}");
}

#[test]
fn a_file_of_the_cache_is_not_another_programs() {
    let dir = folder();
    let (one, other) = (exits(dir.path(), 3), exits(dir.path(), 4));
    let files = || {
        let entries = std::fs::read_dir(dir.path().join("procbox/modules")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    assert_eq!(run(&mut caching(dir.path(), "compile", &[&one])).status, 0);
    let file_of_one = files().remove(0);
    check(&run(&mut caching(dir.path(), "run", &[&other])), 4, "");
    for file in files().iter().filter(|file| **file != file_of_one) {
        copy(&file_of_one, file);
    }
    check(&run(&mut caching(dir.path(), "run", &[&other])), 4, "");
    check(&run(&mut caching(dir.path(), "run", &[&one])), 3, "");
}

#[test]
fn the_cache_cannot_be_granted() {
    let dir = folder();
    let program = exits(dir.path(), 3);
    let beside = dir.path().join("beside");
    std::fs::create_dir(&beside).unwrap();
    let granted = |words: &str, folder: &str| {
        let words = format!("run {words} {}", dir.path().join(folder).display());
        run(&mut caching(&dir.path().join("cache"), &words, &[&program])).status
    };
    // Whoever has a right to the place could make it, so it need not be there yet.
    assert_eq!(granted("--no-cache --dir", ""), 2);
    assert_eq!(granted("--dir", "beside"), 3);
    for folder in ["", "cache", "cache/procbox", "cache/procbox/modules"] {
        for words in ["--dir", "--dir-ro", "--no-cache --dir"] {
            assert_eq!(granted(words, folder), 2, "{words} {folder}");
        }
    }
    assert_eq!(granted("--no-cache --dir-ro", "cache"), 3);
}
