//! `procbox top`: what others see of a run.

use super::*;

/// A run that lets itself be looked at, killed when this is dropped.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Watched {
    fn start(command: &mut Command) -> Watched {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Watched(silent.spawn().unwrap())
    }

    /// What `top` prints of it, once it has all of these.
    fn seen(&self, words: &[&str]) -> String {
        let pid = self.0.id().to_string();
        let began = Instant::now();
        loop {
            let ran = run(&mut command("top --once", &[Path::new(&pid)]));
            if words.iter().all(|word| ran.stdout.contains(word)) {
                return ran.stdout;
            }
            assert!(began.elapsed() < PATIENCE, "no {words:?} in {ran:?}");
            sleep(Duration::from_millis(5));
        }
    }
}

/// A program whose event is never set.
fn hangs() -> Watched {
    let program = program("conformance", Backend::Sandbox);
    let mut command = command("run --quiet --watch", &[&program]);
    Watched::start(command.arg("block"))
}

#[test]
fn top_says_what_a_program_hangs_in() {
    let watched = hangs();
    let text = watched.seen(&["for event 1", "the end of process 2", "1 alive"]);
    assert!(text.contains("conformance.wasm"), "{text}");
    // It is in the list too.
    let list = run(&mut command("top --once", &[]));
    let pid = watched.0.id().to_string();
    assert!(list.stdout.lines().any(|line| line.split(' ').any(|word| word == pid)), "{list:?}");
}

#[test]
fn top_shows_the_tasks_and_queues_of_a_map() {
    for backend in BOTH {
        let mut command = command("map -q -j 2", &[]);
        match backend {
            Backend::Native => command.args(["sh", "-c", "exec sleep 1000", "{}"]),
            Backend::Sandbox => command.arg(program("plain", backend)).arg("{}"),
        };
        // By the variable as well as by the option.
        let command = command.args([":::", "spin", "spin", "spin"]);
        let watched = Watched::start(command.env("PROCBOX_WATCH", "1"));
        let text = watched.seen(&["task 1", "task 2", "queue 1", "2 given, 0 done"]);
        assert!(text.contains("2 alive"), "{text}");
    }
}

#[test]
fn top_sees_nothing_of_what_does_not_allow_it_or_is_gone() {
    let mut watched = hangs();
    watched.seen(&["for event 1"]);
    let pid = watched.0.id().to_string();
    watched.0.kill().unwrap();
    watched.0.wait().unwrap();
    let ran = run(&mut command("top --once", &[Path::new(&pid)]));
    check(&ran, 1, "");
    says(&ran, &[&pid, "--watch"]);
    // This test is such a process.
    let me = std::process::id().to_string();
    check(&run(&mut command("top --once", &[Path::new(&me)])), 1, "");
}

#[test]
fn top_shows_nothing_to_other_users() {
    let watched = hangs();
    watched.seen(&["for event 1"]);
    let pid = watched.0.id().to_string();
    let dir = folder();
    let copy = dir.path().join("procbox");
    super::copy(&procbox(), &copy);
    let open = |path: &Path| Command::new("chmod").args(["755"]).arg(path).status().unwrap();
    assert!(open(dir.path()).success() && open(&copy).success());
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut other = Command::new("setpriv");
    let ran = run(other.args(nobody).arg(&copy).args(["top", "--once", &pid]));
    // Only root can become another user.
    if !ran.stderr.contains("setresuid") && !ran.stderr.contains("setresgid") {
        check(&ran, 1, "");
        says(&ran, &["no such process"]);
    }
}

#[test]
fn top_on_a_terminal_is_as_wide_as_that_and_ends_at_q() {
    let watched = hangs();
    watched.seen(&["for event 1"]);
    for (columns, due) in [(80, "event"), (40, "event")] {
        let dir = folder();
        let pid = watched.0.id();
        let script = format!("stty cols {columns} rows 24; exec {} top {pid}", procbox().display());
        let mut command = Command::new("script");
        command.args(["-qefc", &script]).arg(dir.path().join("log")).env("TERM", "xterm");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut text = Vec::new();
        let has = |text: &[u8], word: &str| String::from_utf8_lossy(text).contains(word);
        while !(has(&text, due) && has(&text, "quit")) {
            let mut some = [0; 4096];
            let n = stdout.read(&mut some).unwrap();
            assert!(n > 0, "{columns}: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&some[..n]);
        }
        child.stdin.as_mut().unwrap().write_all(b"cwq").unwrap();
        let rest = super::text(stdout);
        assert_eq!(wait(&mut child).code(), Some(0));
        let text = String::from_utf8_lossy(&text).into_owned() + &rest.join().unwrap();
        // Nothing is placed beyond the last column, and the screen is given back.
        let places = text.split("\x1b[").filter_map(|rest| rest.split_once('H'));
        let columns_used =
            places.filter_map(|(place, _)| place.split_once(';')?.1.parse::<u16>().ok());
        assert!(columns_used.max().is_some_and(|last| last <= columns), "{columns}: {text:?}");
        assert!(text.contains("\x1b[?1049h") && text.contains("\x1b[?1049l"), "{text:?}");
    }
}

#[test]
fn top_without_a_terminal_prints_a_table_once() {
    let watched = hangs();
    watched.seen(&["for event 1"]);
    let pid = watched.0.id().to_string();
    let ran = run(&mut command("top", &[Path::new(&pid)]));
    assert!(ran.status == 0 && ran.stdout.contains("for event 1"), "{ran:?}");
    assert!(!ran.stdout.contains('\x1b'), "{ran:?}");
}
