//! How an attack is made: beside an honest process, and with a look at the host afterwards.

use procbox::backend::Message;
use procbox::sandbox::{Grants, Program, SandboxBuilder};
use procbox::{Context, Error, ExitStatus, Limit, Output, Process, Queue, Sandbox};
use procbox_tests::{Belongings, PATIENCE, belongings};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Memory of each process of an attack.
pub(crate) const MEMORY: usize = 64 << 20;
/// What this process may grow by meanwhile, at its peak.
pub(crate) const HOST_MEMORY: usize = 256 << 20;
/// How many answers of the honest process an attack has to last for, if it lasts.
const ROUNDS: u32 = 20;

/// What an attacker gets.
#[derive(Clone, Debug)]
pub(crate) enum Gets {
    /// It ends with this exit code; negative is a signal.
    Exits(i32),
    /// It breaks this limit.
    Breaks(Limit),
    /// It is refused before it runs, with these words.
    Refused(&'static str),
    /// It goes on until it is killed, and is then gone.
    Killed,
}

/// A program that tries something.
pub(crate) struct Attack {
    tries: String,
    module: Vec<u8>,
    worker: bool,
    gets: Gets,
    sandbox: Box<dyn Fn(SandboxBuilder) -> SandboxBuilder>,
    /// The honest process is in a sandbox of its own.
    apart: bool,
    grants: Grants,
    timeout: Option<Duration>,
    cpu_time: Option<Duration>,
    stdout: Output,
}

/// A whole program in the text format that has `_start`.
pub(crate) fn main(tries: impl Into<String>, text: impl AsRef<str>, gets: Gets) -> Attack {
    let text = text.as_ref();
    match wat::parse_str(text) {
        Ok(module) => module_main(tries, module, gets),
        Err(e) => panic!("{}: {e}", tries.into()),
    }
}

/// The same, as it is.
pub(crate) fn module_main(tries: impl Into<String>, module: Vec<u8>, gets: Gets) -> Attack {
    Attack {
        tries: tries.into(),
        module,
        worker: false,
        gets,
        sandbox: Box::new(|builder| builder),
        apart: false,
        grants: Grants::default(),
        timeout: None,
        cpu_time: None,
        stdout: Output::Inherit,
    }
}

/// A program in the text format whose worker `attack` is called: `procbox_worker_attack`.
pub(crate) fn worker(tries: impl Into<String>, text: impl AsRef<str>, gets: Gets) -> Attack {
    Attack { worker: true, ..main(tries, text, gets) }
}

impl Attack {
    /// In a sandbox with other limits than the frame's.
    pub(crate) fn within(
        mut self,
        sandbox: impl Fn(SandboxBuilder) -> SandboxBuilder + 'static,
    ) -> Self {
        self.sandbox = Box::new(sandbox);
        self
    }

    /// In one where each process has so much fuel. The honest one, which would run out of it while it
    /// answers, is in a sandbox of its own.
    pub(crate) fn fuel(mut self, units: u64) -> Self {
        let sandbox = self.sandbox;
        self.sandbox = Box::new(move |builder| sandbox(builder).fuel(units));
        Attack { apart: true, ..self }
    }

    /// With these grants: by default it has none, and is quiet.
    pub(crate) fn granted(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn cpu_time(mut self, cpu_time: Duration) -> Self {
        self.cpu_time = Some(cpu_time);
        self
    }

    /// With its output there.
    pub(crate) fn stdout(mut self, stdout: Output) -> Self {
        self.stdout = stdout;
        self
    }

    /// What it tries.
    pub(crate) fn tries(&self) -> &str {
        &self.tries
    }

    /// The context in which it is made again and again, in a sandbox that others have too. It has to be
    /// one that ends by itself.
    pub(crate) fn context(&self, sandbox: &Sandbox) -> Context {
        let program = Program::from_bytes("attack", self.module.clone());
        let ctx = program
            .and_then(|program| sandbox.context_with(program, self.grants.clone().quiet(true)));
        ctx.unwrap_or_else(|e| panic!("{}: {e}", self.tries))
    }

    /// Makes it in that context; the process, which has ended.
    #[track_caller]
    pub(crate) fn make_again(&self, ctx: &Context) -> Process {
        let process = match self.worker {
            true => ctx.process("attack").raw_args(Message::default()),
            false => ctx.main([""; 0]),
        };
        let ended = process.start().and_then(|process| {
            let status = process.join_timeout(PATIENCE)?;
            Ok((process, status))
        });
        let (process, status) = ended.unwrap_or_else(|e| panic!("{}: {e}", self.tries));
        check(&self.tries, status, &self.gets);
        process
    }

    /// Makes it, beside an honest process.
    #[track_caller]
    pub(crate) fn make(self) {
        let Attack { tries, module, worker, gets, grants, timeout, cpu_time, stdout, .. } = self;
        beside(&tries, &*self.sandbox, self.apart, |attacked, honest| {
            let start = || {
                let program = Program::from_bytes("attack", module)?;
                let ctx = attacked.context_with(program, grants.quiet(true))?;
                let mut process = match worker {
                    true => ctx.process("attack").raw_args(Message::default()),
                    false => ctx.main([""; 0]),
                };
                if let Some(timeout) = timeout {
                    process = process.timeout(timeout);
                }
                if let Some(cpu_time) = cpu_time {
                    process = process.cpu_time(cpu_time);
                }
                let process = process.stdout(stdout).start()?;
                Ok::<(Context, Process), Error>((ctx, process))
            };
            let (ctx, process) = match (start(), &gets) {
                (Ok(started), Gets::Exits(_) | Gets::Breaks(_) | Gets::Killed) => started,
                (Err(error), Gets::Refused(why)) => {
                    assert!(error.to_string().contains(why), "{tries}: {error}");
                    return;
                }
                (Ok(_), Gets::Refused(why)) => panic!("{tries}: not refused: {why}"),
                (Err(error), _) => panic!("{tries}: {error}"),
            };
            if matches!(gets, Gets::Killed) {
                honest.answers(ROUNDS);
                assert!(process.is_alive(), "{tries}: {:?}", process.join());
                assert_eq!(process.kill(), Ok(()), "{tries}");
            }
            let status = match process.join_timeout(PATIENCE) {
                Ok(status) => status,
                Err(error) => panic!("{tries}: {error}"),
            };
            check(&tries, status, &gets);
            // Whatever it has left behind.
            assert_eq!(process.kill_tree(), Ok(()), "{tries}");
            drop((process, ctx));
        });
    }
}

/// Makes each of them.
#[track_caller]
pub(crate) fn make(attacks: impl IntoIterator<Item = Attack>) {
    attacks.into_iter().for_each(Attack::make);
}

#[track_caller]
fn check(tries: &str, status: ExitStatus, gets: &Gets) {
    match gets {
        Gets::Exits(code) => {
            assert_eq!((status.exitcode(), status.limit()), (*code, None), "{tries}: {status}");
        }
        Gets::Breaks(limit) => assert_eq!(status.limit(), Some(*limit), "{tries}: {status}"),
        Gets::Killed => assert_eq!(status.exitcode(), -9, "{tries}: {status}"),
        Gets::Refused(_) => {}
    }
}

/// Runs an attack in a sandbox where an honest process of another program answers all the while.
/// Afterwards the sandbox has no process, and this process has no more than before.
#[track_caller]
pub(crate) fn beside_an_honest_one(
    tries: &str,
    limits: impl Fn(SandboxBuilder) -> SandboxBuilder,
    attack: impl FnOnce(&Sandbox, &Honest),
) {
    beside(tries, &limits, false, attack);
}

/// What a sandbox is limited by.
type Limits<'a> = dyn Fn(SandboxBuilder) -> SandboxBuilder + 'a;

/// The same; `apart`: the honest process is in another sandbox, without these limits.
#[track_caller]
fn beside(tries: &str, limits: &Limits<'_>, apart: bool, attack: impl FnOnce(&Sandbox, &Honest)) {
    let _turn = turn();
    let sandbox = |limits: &Limits<'_>| {
        let builder = Sandbox::builder().memory(MEMORY).max_processes(100).cache(false);
        limits(builder).build().unwrap_or_else(|e| panic!("{tries}: {e}"))
    };
    let both = || {
        let attacked = sandbox(limits);
        let other = apart.then(|| sandbox(&|builder| builder));
        let honest = Honest::start(other.as_ref().unwrap_or(&attacked));
        (attacked, other, honest)
    };
    // What the first of all brings up stays: it is not the attack's.
    drop(both().2);
    let before = ours();
    let memory = Peak::begin();
    let (attacked, other, honest) = both();
    honest.answers(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                honest.answers(1);
            }
        });
        let _done = Finally(|| done.store(true, Ordering::Release));
        attack(&attacked, &honest);
    });
    honest.answers(ROUNDS);
    let peak = memory.end();
    assert!(peak <= HOST_MEMORY, "{tries}: the host grew by {} MiB", peak >> 20);
    drop(honest);
    until(tries, || attacked.processes() == 0);
    drop((attacked, other));
    until(tries, || ours().are_no_more_than(before));
}

/// Threads that wait for their turn.
static WAITING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether it is this thread's turn.
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The turn of one test: nobody else attacks meanwhile, so that what this process has more, or grows
/// by, is the attack's. An attack takes it by itself; a test whose preparations take memory takes it
/// before them.
pub(crate) struct Turn(Option<MutexGuard<'static, ()>>);

/// Waits for the turn, which a thread that has it has already.
pub(crate) fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    if HAS_TURN.replace(true) {
        return Turn(None);
    }
    WAITING.fetch_add(1, Ordering::SeqCst);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    WAITING.fetch_sub(1, Ordering::SeqCst);
    Turn(Some(turn))
}

impl Drop for Turn {
    fn drop(&mut self) {
        HAS_TURN.set(self.0.is_none());
    }
}

/// What this process has, without the threads of tests that wait. They are counted first: one that
/// comes to wait in between is counted as ours, for a moment, and never the other way round.
pub(crate) fn ours() -> Belongings {
    let waiting = WAITING.load(Ordering::SeqCst);
    let all = belongings();
    Belongings { threads: all.threads.saturating_sub(waiting), ..all }
}

/// Waits for what has to come.
#[track_caller]
pub(crate) fn until(tries: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{tries}: it stays: {:?}", ours());
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// An honest process of a tree of its own, which answers what it is asked.
pub(crate) struct Honest {
    /// One who asks at a time.
    queues: Mutex<(Queue<u32>, Queue<u32>)>,
    process: Process,
    _ctx: Context,
}

/// Sends back what it gets, until there is no more.
const ECHO: &str = r#"(module
(import "procbox_1" "self_arguments" (func $arguments (param i32) (result i32)))
(import "procbox_1" "message_read" (func $read (param i32 i32) (result i32)))
(import "procbox_1" "message_get" (func $get (param i32 i32 i32 i32 i64) (result i32)))
(import "procbox_1" "message_put" (func $put (param i32 i32 i32 i32 i32 i64) (result i32)))
(memory (export "memory") 1)
(func (export "procbox_worker_echo") (param i32) (result i32)
  (drop (call $arguments (i32.const 0)))
  (drop (call $read (i32.const 64) (i32.const 16)))
  (loop $next
    (if (call $get (i32.load (i32.const 16)) (i32.const 64) (i32.const 64) (i32.const 0) (i64.const -1))
      (then (return (i32.const 0))))
    (if (call $put (i32.load (i32.const 24)) (i32.const 64) (i32.load (i32.const 0))
        (i32.const 0) (i32.const 0) (i64.const -1))
      (then (return (i32.const 1))))
    (br $next))
  (i32.const 0)))"#;

impl Honest {
    fn start(sandbox: &Sandbox) -> Honest {
        let start = || {
            let program = Program::from_bytes("echo", wat::parse_str(ECHO).unwrap())?;
            let ctx = sandbox.context(program)?;
            let (questions, answers) = (ctx.queue(1)?, ctx.queue(1)?);
            let process = ctx.process("echo").args((&questions, &answers)).start()?;
            Ok::<_, Error>((questions, answers, process, ctx))
        };
        let (questions, answers, process, _ctx) = start().unwrap_or_else(|e| panic!("{e}"));
        Honest { queues: Mutex::new((questions, answers)), process, _ctx }
    }

    /// It answers so many questions, each before anybody's patience ends.
    #[track_caller]
    pub(crate) fn answers(&self, questions: u32) {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0..questions {
            assert_eq!(queues.0.put_timeout(&n, PATIENCE), Ok(()), "the honest one does not ask");
            assert_eq!(queues.1.get_timeout(PATIENCE), Ok(n), "the honest one does not answer");
        }
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        // It ends when there are no more questions.
        let queues = self.queues.get_mut().unwrap_or_else(PoisonError::into_inner);
        queues.0.close();
        if !std::thread::panicking() {
            assert_eq!(self.process.join_timeout(PATIENCE), Ok(ExitStatus::SUCCESS));
        }
    }
}

/// How far this process's memory rises above what it is.
pub(crate) struct Peak(usize);

impl Peak {
    pub(crate) fn begin() -> Peak {
        // The kernel forgets the highest so far. Where it does not, that was higher already.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Peak(status("VmRSS:"))
    }

    pub(crate) fn end(self) -> usize {
        status("VmHWM:").saturating_sub(self.0)
    }
}

/// A line of this process's status, in bytes.
fn status(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let kib = found.and_then(|l| l.split_whitespace().next()?.parse::<usize>().ok());
    kib.map_or(0, |kib| kib << 10)
}
