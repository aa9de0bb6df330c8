//! Python and JavaScript built into components: what `make languages` builds of `guest/python` and
//! `guest/js`, and runs these tests of.

use anyhow::{bail, ensure};
use procbox::sandbox::{Grants, Program, SandboxBuilder, TreeLimits};
use procbox::{
    Bytes, Context, Error, ExitStatus, Input, Limit, Lock, Output, Pool, Queue, Sandbox, Usage,
};
use procbox_tests::watched_in;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Memory of each process: an interpreter has some from the beginning.
const MEMORY: usize = 96 << 20;

/// A language, and how things are said in it.
struct Language {
    name: &'static str,
    /// The option that code follows.
    option: &'static str,
    /// Prints 5050.
    sum: &'static str,
    /// Prints its input in capitals.
    capitals: &'static str,
    /// Prints to both streams and exits with 3.
    fails: &'static str,
    /// Raises what nothing catches, with this in its text.
    raises: (&'static str, &'static str),
    /// Prints a random number.
    random: &'static str,
    spins: &'static str,
    grows: &'static str,
    floods: &'static str,
    /// What its sample answers to a worker that fails.
    failure: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "python",
        option: "-c",
        sum: "print(sum(range(101)))",
        capitals: "import sys; print(sys.stdin.read().upper(), end='')",
        fails: "import sys; print('so far'); print('no further', file=sys.stderr); sys.exit(3)",
        raises: ("print(1 // 0)", "ZeroDivisionError"),
        random: "import random; print(random.random())",
        spins: "while True: pass",
        grows: "a = []\nwhile True: a.append(bytearray(1 << 20))",
        floods: "while True: print('x' * 1000)",
        failure: "LookupError: no bread (sample.py:",
    },
    Language {
        name: "js",
        option: "-e",
        sum: "let s = 0; for (let i = 1; i <= 100; i++) s += i; print(s)",
        capitals: "const text = readStdin().toUpperCase().trimEnd(); print(text)",
        fails: "print('so far'); console.error('no further'); exit(3)",
        raises: ("undefined.field", "TypeError"),
        random: "print(Math.random())",
        spins: "for (;;);",
        grows: "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))",
        floods: "for (;;) print('x'.repeat(1000))",
        failure: "RangeError: no bread",
    },
];

fn context(name: &str, builder: SandboxBuilder) -> procbox::Result<Context> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../target/languages/{name}.wasm"))
        .canonicalize();
    let path = path.unwrap_or_else(|e| panic!("{name}: {e}; `make languages` builds it"));
    builder.build()?.context_with(Program::wasm(path)?, Grants::default().quiet(true))
}

fn builder() -> SandboxBuilder {
    Sandbox::builder().max_processes(16).memory(MEMORY)
}

struct Ran {
    status: ExitStatus,
    stdout: String,
    stderr: String,
    usage: Usage,
}

impl Language {
    /// Runs a script by the command that the language is built into.
    fn run(&self, builder: SandboxBuilder, code: &str, input: &str) -> anyhow::Result<Ran> {
        let ctx = context(&format!("{}-image", self.name), builder)?;
        let process = ctx
            .main([self.option, code])
            .stdin(Input::Bytes(input.into()))
            .stdout(Output::Capture)
            .stderr(Output::Capture)
            .timeout(Duration::from_secs(50))
            .start()?;
        let status = process.join()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran {
            status,
            stdout: text(process.output()?),
            stderr: text(process.error_output()?),
            usage: process.usage()?,
        })
    }

    fn sample(&self, builder: SandboxBuilder) -> procbox::Result<Context> {
        context(&format!("{}-sample", self.name), builder)
    }
}

fn ask(ctx: &Context, worker: &str, input: &str) -> procbox::Result<String> {
    let pool: Pool<(Bytes,), Bytes> = ctx.pool(worker).workers(1).build()?;
    Ok(String::from_utf8_lossy(&pool.apply((Bytes::from(input),))?).into_owned())
}

#[test]
#[ignore = "make languages"]
fn a_script_has_its_input_its_output_and_its_status() -> anyhow::Result<()> {
    for language in &LANGUAGES {
        let run = |code: &str, input: &str| language.run(builder(), code, input);
        let sum = run(language.sum, "")?;
        ensure!((sum.status, &*sum.stdout) == (ExitStatus::SUCCESS, "5050\n"), "{}", sum.stderr);
        let capitals = run(language.capitals, "some ünicode\n")?;
        ensure!(capitals.stdout == "SOME ÜNICODE\n", "{}", capitals.stdout);
        let failed = run(language.fails, "")?;
        ensure!(failed.status == ExitStatus::exited(3), "{}", failed.status);
        ensure!((&*failed.stdout, &*failed.stderr) == ("so far\n", "no further\n"));
        let (code, said) = language.raises;
        let raised = run(code, "")?;
        ensure!(raised.status == ExitStatus::FAILURE && raised.stderr.contains(said));
        // What is read from standard input without the option is the script.
        let ctx = context(&format!("{}-image", language.name), builder())?;
        let pool: Pool<(Bytes,), Bytes> = ctx.pool_of_main(Vec::<String>::new()).build()?;
        let sums = pool.starmap((0..100).map(|_| (Bytes::from(language.sum),)))?;
        ensure!(sums.len() == 100 && sums.iter().all(|sum| *sum == "5050\n".into()));
    }
    Ok(())
}

#[test]
#[ignore = "make languages"]
fn two_scripts_draw_different_numbers() -> anyhow::Result<()> {
    for language in &LANGUAGES {
        let drawn: Vec<_> = (0..5)
            .map(|_| language.run(builder(), language.random, "").map(|ran| ran.stdout))
            .collect::<Result<_, _>>()?;
        ensure!(drawn.iter().collect::<HashSet<_>>().len() == 5, "{drawn:?}");
        let ctx = language.sample(builder())?;
        let pool: Pool<(Bytes,), Bytes> = ctx.pool("random").fresh_per_task().build()?;
        let drawn = pool.starmap((0..20).map(|_| (Bytes::default(),)))?;
        ensure!(drawn.iter().collect::<HashSet<_>>().len() == 20, "{drawn:?}");
    }
    Ok(())
}

#[test]
#[ignore = "make languages"]
fn what_a_script_tries_fails_alone_and_is_named() -> anyhow::Result<()> {
    for language in &LANGUAGES {
        let honest = language.sample(builder())?;
        let honest: Pool<(Bytes,), Bytes> = honest.pool("words").workers(1).build()?;
        let second = Duration::from_secs(1);
        let within =
            |limits: TreeLimits, code: &str| language.run(builder().tree(limits), code, "");
        std::thread::scope(|scope| {
            let attacks = scope.spawn(|| -> anyhow::Result<()> {
                let spun = within(TreeLimits::new().cpu_time(second), language.spins)?;
                ensure!(spun.status.limit() == Some(Limit::CpuTime), "{}", spun.status);
                let late = within(TreeLimits::new().time(second), language.spins)?;
                ensure!(late.status.limit() == Some(Limit::WallClock), "{}", late.status);
                let flood = within(TreeLimits::new().output(100_000), language.floods)?;
                ensure!(flood.status.limit() == Some(Limit::Output), "{}", flood.status);
                ensure!(flood.stdout.len() == 100_000);
                let bomb = within(TreeLimits::new(), language.grows)?;
                ensure!(!bomb.status.success() && bomb.usage.lacked_memory, "{}", bomb.status);
                Ok(())
            });
            for _ in 0..50 {
                ensure!(!honest.apply((Bytes::from("a word"),))?.is_empty());
            }
            match attacks.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "make languages"]
fn workers_answer_fail_and_die_as_any_do() {
    for language in &LANGUAGES {
        watched_in(language.sample(builder()), |ctx| {
            ensure!(ask(ctx, "words", "a word, a WORD")?.contains("word"));
            let Err(Error::Task(why)) = ask(ctx, "fail", "bread") else { bail!("it did not fail") };
            ensure!(why.starts_with(language.failure), "{why}");
            let Err(Error::Task(why)) = ask(ctx, "nobody", "") else { bail!("there is nobody") };
            ensure!(why.contains("no worker") && why.contains("words"), "{why}");
            match ask(ctx, "crash", "") {
                Err(Error::WorkerDied { status, .. }) => ensure!(status.signal() == Some(11)),
                other => bail!("{other:?}"),
            }
            let pool: Pool<(Bytes,), Bytes> =
                ctx.pool("loop").workers(1).task_timeout(Duration::from_millis(300)).build()?;
            match pool.apply((Bytes::default(),)) {
                Err(Error::WorkerDied { status, .. }) => {
                    ensure!(status.limit() == Some(Limit::WallClock), "{status}");
                }
                other => bail!("{other:?}"),
            }
            ensure!(ask(ctx, "bomb", "").is_err());
            Ok(())
        });
    }
}

#[test]
#[ignore = "make languages"]
fn workers_have_the_primitives() {
    for language in &LANGUAGES {
        watched_in(language.sample(builder()), |ctx| {
            ensure!(!ask(ctx, "own", "")?.is_empty());
            let queue: Queue<String> = ctx.queue(10)?;
            let pieces: Pool<(Bytes, Queue<String>), Bytes> =
                ctx.pool("pieces").workers(1).build()?;
            ensure!(pieces.apply((Bytes::from("a b c"), queue.clone()))? == "3".into());
            ensure!([queue.get()?, queue.get()?, queue.get()?] == ["a", "b", "c"]);
            let lock = ctx.lock()?;
            let locked: Pool<(Bytes, Lock), Bytes> = ctx.pool("locked").workers(1).build()?;
            ensure!(!locked.apply((Bytes::default(), lock.clone()))?.is_empty());
            // It was given back.
            ensure!(lock.acquire_timeout(Duration::from_secs(10)).is_ok());
            Ok(())
        });
    }
}

/// Bytes that this process has in memory, a page that is mapped many times once.
fn resident() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.expect("the kernel says how much is mapped") << 10
}

#[test]
#[ignore = "make languages"]
fn a_thousand_that_wait_share_their_image() {
    const MANY: usize = 1000;
    /// 4 GiB for all.
    const MOST: usize = (4 << 30) / MANY;
    for language in &LANGUAGES {
        watched_in(language.sample(builder().max_processes(MANY)), |ctx| {
            let (event, told) = (ctx.event()?, ctx.queue::<Bytes>(MANY)?);
            let before = resident();
            let start = |_| ctx.process("wait").args((Bytes::default(), &event, &told)).start();
            let all = (0..MANY).map(start).collect::<procbox::Result<Vec<_>>>()?;
            for _ in &all {
                told.get()?;
            }
            let each = resident().saturating_sub(before) / MANY;
            println!("{}: {} KiB for each of {MANY} that wait", language.name, each >> 10);
            ensure!(each <= MOST, "{each} bytes each");
            event.set();
            for process in all {
                ensure!(process.join()?.success());
            }
            Ok(())
        });
    }
}
