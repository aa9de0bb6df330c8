//! `procbox map`.

use super::*;

#[test]
fn map_counts_the_words_of_files_as_wc_does_in_their_order() {
    let files = licenses();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let mut due = String::new();
    for file in &files {
        let wc = Command::new("wc").arg(file).env("LC_ALL", "C").output().unwrap().stdout;
        let wc = String::from_utf8(wc).unwrap();
        let n: Vec<&str> = wc.split_whitespace().collect();
        due += &format!("{} {} {}\n", n[1], n[0], n[2]);
    }
    for backend in BOTH {
        for options in ["map -j 2", "map -j 4 --chunk-size 3", "map -j 1 --fresh --quiet"] {
            let program = program("word-count", backend);
            check(&run(command(options, &[&program]).args(&paths)), 0, &due);
        }
    }
}

#[test]
fn map_unordered_gives_the_same_lines() {
    let files = licenses();
    let sorted = |ran: Ran| {
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let mut lines: Vec<_> = ran.stdout.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let [a, b] = BOTH.map(|backend| {
        let program = program("word-count", backend);
        sorted(run(command("map --unordered -j 3", &[&program]).args(&files)))
    });
    assert_eq!((&a, a.len()), (&b, files.len()));
}

#[test]
fn map_takes_a_hundred_thousand_lines() {
    let lines: String = (0..100_000).map(|n| format!("{}{n}\n", "word ".repeat(n % 4))).collect();
    let due: String =
        lines.lines().map(|l| format!("{} 0 {}\n", l.split(' ').count(), l.len())).collect();
    for backend in BOTH {
        let ran =
            run_on(&mut command("map --quiet", &[&program("word-count", backend)]), &lines[..]);
        assert_eq!((ran.status, &ran.stderr[..]), (0, ""));
        assert!(ran.stdout == due, "{backend:?}: other results, {} bytes", ran.stdout.len());
    }
}

#[test]
fn the_last_line_needs_no_newline_and_an_empty_input_is_no_task() {
    for backend in BOTH {
        let program = program("word-count", backend);
        let on = |input: &str| run_on(&mut command("map", &[&program]), input);
        check(&on("a b\nc"), 0, "2 0 3\n1 0 1\n");
        check(&on("\n\n"), 0, "0 0 0\n0 0 0\n");
        check(&on(""), 0, "");
    }
}

#[test]
fn map_ends_quietly_when_its_reader_has_gone() {
    for backend in BOTH {
        let mut child = command("map --quiet", &[&program("word-count", backend)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It writes until nobody reads any more: `yes | procbox map ... | head -1`.
        let writer = spawn(move || while stdin.write_all(b"a line of words\n").is_ok() {});
        let stderr = text(child.stderr.take().unwrap());
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "4 0 15\n");
        assert_eq!(wait(&mut child).code(), Some(0));
        writer.join().unwrap();
        assert_eq!(stderr.join().unwrap(), "");
    }
}

#[test]
fn map_makes_a_filter_of_a_plain_program() {
    for backend in BOTH {
        let program = program("plain", backend);
        check(
            &run_on(&mut command("map -j 2", &[&program]), "one\ntwo\nthree"),
            0,
            "ONE\nTWO\nTHREE\n",
        );
    }
    let dir = folder();
    let files: Vec<_> = (0..20).map(|n| dir.path().join(format!("{n}"))).collect();
    let mut due = String::new();
    for (n, file) in files.iter().enumerate() {
        let text = format!("file {n}\n").repeat(n * 100);
        std::fs::write(file, &text).unwrap();
        due += &text;
    }
    check(&run(command("map -j 2", &[Path::new("/bin/cat")]).args(&files)), 0, &due);
}

#[test]
fn a_plain_program_that_fails_fails_its_task_by_name() {
    // `false` fails on everything.
    let ran = run_on(&mut command("map", &[Path::new("/bin/false")]), "a\nb\n");
    check(&ran, 1, "");
    says(&ran, &["line 1", "line 2", "code 1"]);
}

#[test]
fn a_filter_that_fails_keeps_its_output_and_its_status() {
    for backend in BOTH {
        let program = program("plain", backend);
        let ran = run_on(&mut command("map -j 2", &[&program]), "one\nexit 3\ntwo\n");
        check(&ran, 1, "ONE\nEXIT 3\nTWO\n");
        says(&ran, &["so it exits", "line 2", "code 3"]);

        let dir = folder();
        let log = dir.path().join("log");
        let options = format!("map --json --joblog {}", log.display());
        let ran = run_on(&mut command(&options, &[&program]), "one\nexit 3\n");
        let tasks: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |task: &serde_json::Value| (task["exit"].clone(), task["stdout"].clone());
        assert_eq!(of(&tasks[0]), (0.into(), "ONE\n".into()));
        assert_eq!(of(&tasks[1]), (3.into(), "EXIT 3\n".into()));
        assert_eq!(tasks[1]["stderr"], "so it exits\n");
        let log = std::fs::read_to_string(log).unwrap();
        let failed: Vec<&str> = log.lines().nth(2).unwrap().split('\t').collect();
        assert_eq!((failed[5], failed[6]), ("7", "3"), "{log}");
    }
}

#[test]
fn an_endless_task_is_ended_and_the_others_go_on() {
    for backend in BOTH {
        let mut command = command(
            "map -j 2 --worker does_as_told --task-timeout 1s",
            &[&program("conformance", backend)],
        );
        let ran = run_on(&mut command, "a\nspin\nb\nc\n");
        check(&ran, 1, "A\nB\nC\n");
        says(&ran, &["line 2", "wall-clock"]);
    }
}

#[test]
fn map_as_a_whole_can_be_out_of_time() {
    for backend in BOTH {
        let mut command = command(
            "map -j 1 --chunk-size 1 --worker does_as_told --timeout 1s",
            &[&program("conformance", backend)],
        );
        check(&run_on(&mut command, "a\nspin\nb\n"), 124, "A\n");
    }
}

#[test]
fn failed_tasks_are_named_and_the_others_go_on() {
    for backend in BOTH {
        let mut command =
            command("map -j 2 --worker does_as_told", &[&program("conformance", backend)]);
        let ran = run_on(&mut command, "a\nfail\nb\npanic\nc\nexit 3\nd\nabort\ne\n");
        check(&ran, 1, "A\nB\nC\nD\nE\n");
        says(&ran, &["line 2: as it should", "line 4:", "line 6:", "code 3", "line 8:", "SIGABRT"]);
    }
}

#[test]
fn of_ten_thousand_files_four_are_bad_and_all_others_are_done_in_order() {
    let dir = folder();
    let paths: Vec<PathBuf> = (0..10_000).map(|n| dir.path().join(format!("{n:05}"))).collect();
    let bad = [(100, "abort"), (5_000, "spin"), (7_500, "allocate")];
    for (n, path) in paths.iter().enumerate() {
        let told = bad.iter().find(|(bad, _)| *bad == n).map(|(_, told)| (*told).to_string());
        std::fs::write(path, told.unwrap_or_else(|| format!("text {n}"))).unwrap();
    }
    std::fs::remove_file(&paths[9_999]).unwrap();
    let good = (0..9_999).filter(|n| bad.iter().all(|(bad, _)| bad != n));
    let due: String = good.map(|n| format!("TEXT {n}\n")).collect();
    for (backend, limits) in [(Backend::Native, ""), (Backend::Sandbox, "--memory 64M")] {
        let words = format!("map -j 2 --worker does_as_told --task-timeout 500ms {limits}");
        let ran = run(command(&words, &[&program("conformance", backend)]).args(&paths));
        assert_eq!(ran.status, 1, "{backend:?}: {}", ran.stderr);
        assert!(ran.stdout == due, "{backend:?}: {} lines", ran.stdout.lines().count());
        let named = |n: usize| format!("procbox: {}: ", paths[n].display());
        says(&ran, &[&named(100), "SIGABRT", &named(5_000), "wall-clock", &named(7_500)]);
        says(&ran, &[&named(9_999), "10000 tasks, 4 failed"]);
    }
}

#[test]
fn an_unreadable_input_is_named_and_the_others_go_on() {
    let dir = folder();
    let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
    std::fs::write(&a, "one two\n").unwrap();
    std::fs::write(&b, "three\n").unwrap();
    let missing = dir.path().join("missing");
    for backend in BOTH {
        let program = program("word-count", backend);
        let ran = run(&mut command("map", &[&program, &a, &missing, dir.path(), &b]));
        check(&ran, 1, "2 1 8\n1 1 6\n");
        says(&ran, &[&missing.display().to_string(), &format!("{}: ", dir.path().display())]);
    }
}

#[test]
fn a_result_ends_with_a_newline_unless_raw() {
    let dir = folder();
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
    for (path, text) in [(&a, "no end"), (&b, ""), (&c, "an end\n")] {
        std::fs::write(path, text).unwrap();
    }
    let cat = Path::new("/bin/cat");
    check(&run(&mut command("map", &[cat, &a, &b, &c, &a])), 0, "no end\nan end\nno end\n");
    check(&run(&mut command("map --raw", &[cat, &a, &b, &c, &a])), 0, "no endan end\nno end");
}

#[test]
fn tasks_come_from_a_file_and_end_with_a_zero_byte_if_told_so() {
    let dir = folder();
    let list = dir.path().join("list");
    std::fs::write(&list, "one two\nthree\n").unwrap();
    for backend in BOTH {
        let program = program("word-count", backend);
        let mut from_file = command("map --arg-file", &[&list, &program]);
        check(&run(&mut from_file), 0, "2 0 7\n1 0 5\n");
        check(&run_on(&mut command("map -0", &[&program]), "a\nb\0c"), 0, "2 1 3\n1 0 1\n");
    }
    let ran = run(&mut command("map -a /no/such/list cat", &[]));
    check(&ran, 1, "");
    says(&ran, &["--arg-file", "/no/such/list"]);
}

#[test]
fn stopped_early_it_says_so_and_how_much_is_left_and_how_to_go_on() {
    let dir = folder();
    let [good, endless] = ["good", "endless"].map(|name| dir.path().join(name));
    std::fs::write(&good, "a").unwrap();
    std::fs::write(&endless, "spin").unwrap();
    let log = dir.path().join("log");
    let program = program("conformance", Backend::Sandbox);
    let words = "map -j 1 --worker does_as_told --timeout 1s";
    let mut plain = command(words, &[&program, &good, &endless, &good]);
    let ran = run(&mut plain);
    check(&ran, 124, "A\n");
    says(&ran, &["stopped early, out of time: 1 done, 2 left", "--joblog"]);
    let words = format!("{words} --joblog {}", log.display());
    let ran = run(&mut command(&words, &[&program, &good, &endless, &good]));
    check(&ran, 124, "A\n");
    says(&ran, &["stopped early, out of time: 1 done, 2 left", "with --resume"]);
    // What it advises is done, with an input that ends.
    std::fs::write(&endless, "b").unwrap();
    let words = format!("{words} --resume");
    check(&run(&mut command(&words, &[&program, &good, &endless, &good])), 0, "B\nA\n");
}

#[test]
fn resume_with_other_inputs_is_refused() {
    let dir = folder();
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
    for path in [&a, &b, &c] {
        std::fs::write(path, "words\n").unwrap();
    }
    let log = format!("map --quiet --joblog {}", dir.path().join("log").display());
    let resume = format!("{log} --resume");
    let cat = Path::new("/bin/cat");
    check(&run(&mut command(&log, &[cat, &a, &b])), 0, "words\nwords\n");
    for (others, number) in
        [(&[&b, &a][..], "number 1"), (&[&a, &c], "number 2"), (&[&a], "number 2")]
    {
        let ran = run(command(&resume, &[cat]).args(others));
        check(&ran, 2, "");
        says(&ran, &["--resume", "other inputs", number]);
    }
    check(&run(&mut command(&resume, &[cat, &a, &b, &c])), 0, "words\n");
}
