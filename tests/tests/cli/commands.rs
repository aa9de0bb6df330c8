//! `procbox map` over commands, as GNU parallel has them, and its options.

use super::*;

/// A command line of these words, none of which is split.
fn map(options: &str, words: &[&str]) -> Command {
    let mut command = command(&format!("map --quiet {options}"), &[]);
    command.args(words);
    command
}

#[test]
fn a_command_is_made_of_each_input() {
    let inputs = ["dir/a.b.c", "d e"];
    let words =
        ["echo", "-n", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}", ":::", inputs[0], inputs[1]];
    let due = "dir/a.b.c dir/a.b a.b.c dir a.b 1\nd e d e d e . d e 2\n";
    check(&run(&mut map("", &words)), 0, due);
    // Of stdin, of a file, and where no argument takes it.
    check(&run_on(&mut map("-j 1", &["echo", "<{}>"]), "x y\nz"), 0, "<x y>\n<z>\n");
    check(&run(&mut map("", &["echo", "last", ":::", "a", "b"])), 0, "last a\nlast b\n");
    let dir = folder();
    let list = dir.path().join("list");
    std::fs::write(&list, "a\nb\n").unwrap();
    check(&run(&mut map("", &["echo", "::::", list.to_str().unwrap()])), 0, "a\nb\n");
}

#[test]
fn a_sandboxed_command_reads_what_it_was_granted() {
    let dir = folder();
    let path = dir.path().to_str().unwrap();
    let text = dir.path().join("text").display().to_string();
    std::fs::write(&text, "words\n").unwrap();
    let wasm = program("plain", Backend::Sandbox);
    let words = [wasm.to_str().unwrap(), "cat", "{}", ":::", &text];
    check(&run(&mut map(&format!("--dir-ro {path}"), &words)), 0, "words\n");
    check(&run(&mut map("", &words)), 1, "");
    let words = [wasm.to_str().unwrap(), "args", "--upper", "-q", ":::", "x"];
    check(&run(&mut map("", &words)), 0, "--upper\n-q\nx\n");
}

#[test]
fn the_status_is_the_number_of_commands_that_failed_and_their_output_is_printed() {
    let words = ["sh", "-c", "echo $1; exit $1", "sh", "{}", ":::", "0", "3", "0", "4"];
    let ran = run(&mut map("", &words));
    check(&ran, 2, "0\n3\n0\n4\n");
    says(&ran, &["sh -c 'echo $1; exit $1' sh 3", "code 3", "code 4"]);
    let many: String = "x\n".repeat(150);
    check(&run_on(&mut map("", &["false", "{}"]), many), 101, "");
}

#[test]
fn what_follows_the_program_is_its_own_and_what_precedes_it_is_not() {
    check(
        &run(&mut map("-j2 --tag", &["echo", "-j7", "--tag", ":::", "a"])),
        0,
        "a\t-j7 --tag a\n",
    );
}

#[test]
fn halt_now_ends_what_runs_and_has_the_status_of_what_failed() {
    let script = "test $1 = 2 && exit 7; test $1 = 3 && exec sleep 1000; echo $1";
    for when in ["now", "soon"] {
        let words = ["sh", "-c", script, "sh", "{}", ":::", "1", "2", "4", "5", "6"];
        let ran = run(&mut map(&format!("-j 1 --halt {when},fail=1"), &words));
        check(&ran, 7, "1\n");
    }
    // What sleeps is in front of what fails.
    let words = ["sh", "-c", script, "sh", "{}", ":::", "3", "2", "1"];
    let ran = run(&mut map("-j 2 --halt now,fail=1", &words));
    assert_eq!(ran.status, 7, "{ran:?}");
    let words = ["sh", "-c", "echo $1", "sh", "{}", ":::", "1", "2", "3"];
    check(&run(&mut map("-j 1 --halt now,success=2", &words)), 0, "1\n2\n");
}

#[test]
fn halt_says_that_it_has_stopped_and_the_rest_can_be_resumed() {
    let dir = folder();
    let log = dir.path().join("log");
    let flag = dir.path().join("flag");
    let script = format!("test $1 != 2 || test -e {} || exit 7; echo $1", flag.display());
    let words = ["sh", "-c", &script, "sh", "{}", ":::", "1", "2", "3", "4"];
    let options = format!("map -j 1 --halt soon,fail=1 --joblog {}", log.display());
    let ran = run(command(&options, &[]).args(words));
    check(&ran, 7, "1\n");
    says(&ran, &["stopped early, by --halt: 2 done, 2 left"]);
    std::fs::write(&flag, "").unwrap();
    check(&run(command(&format!("{options} --resume-failed"), &[]).args(words)), 0, "2\n3\n4\n");
}

#[test]
fn a_dry_run_says_the_commands_and_runs_none() {
    let dir = folder();
    let made = dir.path().join("made").display().to_string();
    let ran = run(&mut map("--dry-run", &["touch", &made, "{}", ":::", "a b", "c"]));
    check(&ran, 0, &format!("touch {made} 'a b'\ntouch {made} c\n"));
    assert!(!dir.path().join("made").exists());
    check(&run(&mut map("--dry-run", &["prog", "x y"])), 0, "prog < 'x y'\n");
    check(&run_on(&mut map("--dry-run", &["prog"]), "a\n$b\n"), 0, "prog <<< a\nprog <<< '$b'\n");
}

#[test]
fn delay_keeps_tasks_apart() {
    let began = Instant::now();
    check(&run(&mut map("-j 4 --delay 200ms", &["echo", ":::", "a", "b", "c"])), 0, "a\nb\nc\n");
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

#[test]
fn memory_and_load_let_tasks_through_when_there_is_enough() {
    check(&run(&mut map("--memfree 1K --load 100000", &["echo", ":::", "a", "b"])), 0, "a\nb\n");
    let waiting = map("--memfree 99999G --timeout 300ms", &["echo", ":::", "a"]);
    let mut waiting = waiting;
    check(&run(&mut waiting), 124, "");
}

#[test]
fn tags_json_junit_and_results_tell_of_each_task() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let words =
        ["sh", "-c", "echo x; echo \"$1\"; test \"$1\" != b", "sh", "{}", ":::", "a/1", "b"];
    check(&run(&mut map("--tag", &words)), 1, "a/1\tx\na/1\ta/1\nb\tx\nb\tb\n");
    let options = format!("--json --junit {} --results {}", path("junit"), path("results"));
    let ran = run(&mut map(&options, &words));
    assert_eq!(ran.status, 1, "{ran:?}");
    let tasks: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |task: usize, key: &str| tasks[task][key].to_string();
    assert_eq!(
        (of(0, "input"), of(0, "exit"), of(0, "stdout")),
        (r#""a/1""#.into(), "0".into(), r#""x\na/1\n""#.into())
    );
    assert_eq!(
        (of(1, "seq"), of(1, "exit"), of(1, "stdout")),
        ("2".into(), "1".into(), r#""x\nb\n""#.into())
    );
    assert!(tasks[0].get("error").is_none() && of(1, "error").contains("code 1"), "{tasks:?}");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(read("junit").contains("tests=\"2\" failures=\"1\""), "{}", read("junit"));
    assert_eq!(read(r"results/1/a\_1/stdout"), "x\na/1\n");
    assert_eq!(
        (read("results/1/b/seq"), read(r"results/1/a\_1/stderr")),
        ("2".into(), String::new())
    );
    assert!(read("results/1/b/stderr").contains("code 1"));
}

#[test]
fn tags_and_json_are_of_workers_too() {
    for backend in BOTH {
        let program = program("conformance", backend);
        let mut tagged = command("map --quiet --tag --worker does_as_told", &[&program]);
        check(&run_on(&mut tagged, "a\nb\n"), 0, "a\tA\nb\tB\n");
        let mut json = command("map --quiet --json --worker does_as_told", &[&program]);
        let ran = run_on(&mut json, "a\nfail\n");
        assert_eq!(ran.status, 1, "{ran:?}");
        let tasks: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&tasks[0]["stdout"], &tasks[1]["error"]),
            (&"A\n".into(), &"as it should".into())
        );
    }
}

#[test]
fn a_stream_is_cut_into_blocks_of_whole_lines() {
    let lines: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let ran = run_on(&mut map("--pipe --block 64K", &["cat"]), lines.clone());
    assert!(ran.status == 0 && ran.stdout == lines, "{} bytes", ran.stdout.len());
    let ran = run_on(&mut map("--pipe --block 64K", &["wc", "-l"]), lines.clone());
    let counts: Vec<u64> = ran.stdout.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert!(counts.len() > 3 && counts.iter().sum::<u64>() == 50_000, "{counts:?}");
    for backend in BOTH {
        let program = program("word-count", backend);
        let ran =
            run_on(&mut command("map --quiet --pipe --block 64K", &[&program]), lines.clone());
        let count = |line: &str| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
        assert_eq!(ran.stdout.lines().map(count).sum::<u64>(), 50_000, "{backend:?}");
    }
}

#[test]
fn resume_over_other_lines_is_refused() {
    let dir = folder();
    let log = format!("--joblog {}", dir.path().join("log").display());
    let resume = format!("{log} --resume");
    check(&run_on(&mut map(&log, &["cat"]), "a\nb\n"), 0, "a\nb\n");
    for other in ["a\nc\n", "b\na\n", "a\n"] {
        let ran = run_on(&mut map(&resume, &["cat"]), other);
        check(&ran, 2, "");
        says(&ran, &["--resume", "other inputs"]);
    }
    check(&run_on(&mut map(&resume, &["cat"]), "a\nb\nc\n"), 0, "c\n");
    // Commands of other words too.
    let log = format!("--joblog {}", dir.path().join("commands").display());
    let resume = format!("{log} --resume");
    check(&run(&mut map(&log, &["echo", ":::", "a", "b"])), 0, "a\nb\n");
    check(&run(&mut map(&resume, &["echo", "x", ":::", "a", "b"])), 2, "");
    check(&run(&mut map(&resume, &["echo", ":::", "a", "b", "c"])), 0, "c\n");
}

#[test]
fn what_does_not_go_together_is_refused_by_its_name() {
    for (options, words, named) in [
        ("--arg-file x", &["cat", "a"][..], "--arg-file"),
        ("--null", &["cat", ":::", "a"], "--null"),
        ("--worker w", &["cat", "{}"], "--worker"),
        ("--halt never-ever", &["cat"], "--halt"),
        ("--halt now,fail=10%", &["cat"], "--halt"),
        ("-j 0", &["cat"], "--jobs"),
        ("-j x", &["cat"], "--jobs"),
        ("--load none", &["cat"], "--load"),
        ("--block 7", &["cat"], "--pipe"),
        ("--tag --json", &["cat"], "--tag"),
        ("", &["cat", ":::", "a", ":::", "b"], ":::"),
    ] {
        let ran = run(&mut map(options, words));
        check(&ran, 2, "");
        says(&ran, &[named]);
    }
    let ran = run(&mut map("--junit /no/such/dir/file", &["cat", ":::", "a"]));
    says(&ran, &["--junit /no/such/dir/file"]);
}

#[test]
fn a_command_that_does_not_get_on_is_ended_and_a_number_of_workers_is_relative() {
    let words =
        ["sh", "-c", "test $1 = 1 && exec sleep 1000; echo $1", "sh", "{}", ":::", "1", "2"];
    let ran = run(&mut map("-j +1 --task-timeout 3s", &words));
    check(&ran, 1, "2\n");
    says(&ran, &["wall-clock"]);
}

#[test]
fn native_arguments_are_any_bytes_and_sandboxed_ones_are_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"a\xff");
    let ran = run(map("", &["printf", "%s", ":::"]).arg(odd));
    assert_eq!((ran.status, &ran.stdout[..]), (0, "a\u{fffd}\n"), "{ran:?}");
    let wasm = program("plain", Backend::Sandbox);
    let ran = run(map("", &[wasm.to_str().unwrap(), "args", ":::"]).arg(odd).arg("b"));
    check(&ran, 1, "b\n");
    says(&ran, &["argument 2 is not UTF-8"]);
}

/// What the program `plain` says and complains, under this name.
fn words(verb: &str, name: &str, tag: &str) -> String {
    (0..20).map(|n| format!("{tag}{name} {verb} {n}\n")).collect()
}

/// Where a text stands in another.
fn at(text: &str, piece: &str) -> usize {
    text.find(piece).unwrap_or_else(|| panic!("no {piece:?} in {text}"))
}

#[test]
fn what_a_command_says_on_stderr_stands_behind_its_output_and_is_not_mixed_with_others() {
    for backend in BOTH {
        let program = program("plain", backend);
        let program = program.to_str().unwrap();
        let inputs = ["complain", "{}", ":::", "a", "b", "c"];
        // Both streams to one file, as on a terminal.
        let script = "exec 2>&1; exec \"$@\"";
        let mut both = Command::new("sh");
        both.args(["-c", script, "sh"]).arg(procbox());
        let ran = run(both.args(["map", "-q", "-j", "3", program]).args(inputs));
        assert_eq!(ran.status, 1, "{ran:?}");
        let places: Vec<usize> = ["a", "b", "c"]
            .into_iter()
            .flat_map(|name| [words("says", name, ""), words("complains", name, "")])
            .map(|piece| at(&ran.stdout, &piece))
            .collect();
        assert!(places.is_sorted(), "{backend:?}: {}", ran.stdout);
        // And by itself.
        let said: String = ["a", "b", "c"].map(|name| words("says", name, "")).concat();
        let ran = run(&mut map("-j 3", &[&[program][..], &inputs].concat()));
        check(&ran, 1, &said);
        says(
            &ran,
            &["a", "b", "c"].map(|name| words("complains", name, "")).each_ref().map(|s| &s[..]),
        );
        let ran = run(&mut map("-j 3 --tag", &[&[program][..], &inputs].concat()));
        says(&ran, &[&words("complains", "c", "c\t")]);
    }
}

#[test]
fn what_a_command_says_on_stderr_is_in_the_results_and_in_the_json() {
    for backend in BOTH {
        let dir = folder();
        let program = program("plain", backend);
        let words_of = [program.to_str().unwrap(), "complain", "{}", ":::", "a", "b"];
        let options = format!("--json --results {}", dir.path().display());
        let ran = run(&mut map(&options, &words_of));
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(!ran.stderr.contains("complains"), "{ran:?}");
        let tasks: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(tasks[0]["stderr"], words("complains", "a", ""));
        assert_eq!(tasks[1]["stderr"], words("complains", "b", ""));
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("1/a/stderr"), words("complains", "a", ""));
        let failed = read("1/b/stderr");
        assert!(failed.starts_with(&words("complains", "b", "")), "{failed}");
        assert!(failed.contains("code 3"), "{failed}");
    }
}

#[test]
fn a_programs_argument_without_a_place_for_the_input_is_told_how_to_write_it() {
    let dir = folder();
    let file = dir.path().join("file").display().to_string();
    std::fs::write(&file, "line\n").unwrap();
    let ran = run(&mut map("", &["cat", "-n", &file]));
    check(&ran, 2, "");
    says(&ran, &["'-n'", &format!("cat -n {{}} ::: {file}")]);
    assert!(!ran.stderr.contains("-- -n"), "{ran:?}");
    let ran = run(&mut command("map grep line", &[Path::new(&file)]));
    assert_eq!(ran.status, 1, "{ran:?}");
    says(
        &ran,
        &["line: there is no such input", &format!("procbox map grep line {{}} ::: {file}")],
    );
    // As it was told.
    check(&run(&mut map("", &["grep", "line", "{}", ":::", &file])), 0, "line\n");
}

#[test]
fn what_a_name_would_do_to_a_terminal_is_escaped_in_the_log_and_on_stderr() {
    let dir = folder();
    let log = dir.path().join("log");
    let name = "a\x1b[2Jb\u{202e}c";
    let options = format!("--joblog {}", log.display());
    let ran = run(&mut map(&options, &["false", "{}", ":::", name]));
    assert_eq!(ran.status, 1, "{ran:?}");
    let logged = std::fs::read_to_string(&log).unwrap();
    for text in [&ran.stderr, &logged] {
        assert!(text.contains(r"a\u{1b}[2Jb\u{202e}c"), "{text}");
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
    }
    // And is known by that when it is resumed.
    let resumed = run(&mut map(&format!("{options} --resume"), &["false", "{}", ":::", name]));
    check(&resumed, 0, "");
}

#[test]
fn what_tasks_have_used_is_in_the_log_and_in_json() {
    let dir = folder();
    let log = dir.path().join("log");
    let options = |more: &str| format!("map --quiet --json --joblog {} {more}", log.display());
    let measured = |command: &mut Command, input: &str| {
        let ran = run_on(command, input);
        let task: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let logged = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<Vec<&str>> = logged.lines().map(|line| line.split('\t').collect()).collect();
        let [header, line] = &lines[..] else { panic!("{logged}") };
        assert_eq!(header[8..], ["Command", "Cputime", "Maxmem", "Attempts"]);
        let number = |text: &str| text.parse::<f64>().ok();
        assert_eq!(number(line[9]), task["cpu_seconds"].as_f64().map(|s| (s * 1e6).round() / 1e6));
        assert_eq!(number(line[10]), task["peak_memory"].as_f64());
        assert_eq!(number(line[11]), task["attempts"].as_f64());
        (number(line[9]), number(line[10]), number(line[11]))
    };
    // A command, which has to be begun twice.
    let failing = ["sh", "-c", "exit 3", ":::", "a"];
    let mut command_of = command(&options("--retries 1"), &[]);
    let (cpu, memory, attempts) = measured(command_of.args(failing), "");
    assert!(cpu > Some(0.0) && memory > Some(65536.0) && attempts == Some(2.0));
    // A worker, with a process of its own and without.
    for backend in BOTH {
        let program = program("conformance", backend);
        let worker = "--worker does_as_told --fresh";
        let (cpu, memory, attempts) = measured(&mut command(&options(worker), &[&program]), "a\n");
        assert!(cpu > Some(0.0) && memory > Some(65536.0) && attempts == Some(1.0), "{backend:?}");
        let worker = "--worker does_as_told --reuse --chunk-size 1";
        let (cpu, memory, attempts) = measured(&mut command(&options(worker), &[&program]), "a\n");
        assert_eq!(
            (cpu.is_some(), memory, attempts),
            (backend == Backend::Native, None, Some(1.0))
        );
    }
    // Several that travel together are not told apart.
    let mut together = command(&options("--worker does_as_told"), &[]);
    check(&run_on(together.arg(program("conformance", Backend::Native)), ""), 0, "");
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.ends_with("\tCommand\n"), "{logged}");
}
