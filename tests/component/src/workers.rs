//! The workers, by name.

wit_bindgen::generate!({ path: "../../guest/wit", world: "worker" });

use procbox::worker::log::{Level, log};
use procbox::worker::primitives::{
    self, Error, Event, Handle, Lent, Lock, Message, Pipe, Queue, Semaphore,
};
use std::io::{Read, Write};

struct Component;
export!(Component);

/// What a worker comes to.
type Answer = Result<Vec<u8>, String>;

impl Guest for Component {
    fn run(worker: String, input: Vec<u8>) -> Answer {
        let text = String::from_utf8_lossy(&input).into_owned();
        match worker.as_str() {
            "run" | "echo" => Ok(input),
            "upper" => Ok(text.to_uppercase().into_bytes()),
            "fail" => Err(format!("no {text}")),
            "crash" => std::process::abort(),
            "exit" => std::process::exit(text.parse().unwrap_or(99)),
            "loop" => loop {
                std::hint::black_box(());
            },
            "bomb" => loop {
                Vec::leak(vec![1u8; 1 << 20]);
            },
            "flood" => loop {
                println!("{text}");
            },
            "large" => Ok(vec![7; text.parse().map_err(|_| "a number of bytes")?]),
            "count" => Ok(count().to_string().into_bytes()),
            "pid" => Ok(primitives::pid().to_string().into_bytes()),
            "say" => {
                print!("out {text}");
                eprint!("err {text}");
                std::io::stdout().flush().map_err(|e| e.to_string())?;
                log(Level::Warn, &text);
                Ok(Vec::new())
            }
            "stdin" => {
                let mut all = Vec::new();
                std::io::stdin().read_to_end(&mut all).map_err(|e| e.to_string())?;
                Ok(all)
            }
            "random" => {
                let mut map = std::collections::HashMap::new();
                map.extend((0..32).map(|n| (n, ())));
                Ok(format!("{:?}", map.keys().collect::<Vec<_>>()).into_bytes())
            }
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_millis(text.parse().unwrap_or(1)));
                Ok(Vec::new())
            }
            "file" => file(&text),
            "socket" => match std::net::TcpStream::connect("127.0.0.1:1") {
                Ok(_) => Err("connected".into()),
                Err(e) => Ok(format!("{:?}", e.kind()).into_bytes()),
            },
            "handles" => handles(),
            "own" => own().map_err(said),
            "hold" => hold(),
            "give" => give(&text),
            "forever" => match Queue::new(None, None).and_then(|queue| queue.get(None)) {
                Ok(_) => Err("a message from nobody".into()),
                Err(e) => Ok(said(e).into_bytes()),
            },
            "many" => many(),
            _ => Err(format!("no worker {worker:?}")),
        }
    }
}

/// How often this process has been asked.
fn count() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

fn said(e: Error) -> String {
    e.name().to_string()
}

/// Writes and reads a file.
fn file(path: &str) -> Answer {
    let failed = |e: std::io::Error| format!("{:?}", e.kind());
    std::fs::write(path, b"some text").map_err(failed)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(path).map_err(failed)?;
    file.write_all(b", and more").map_err(failed)?;
    std::fs::read(path).map_err(failed)
}

/// What came with the input, by kind; a second call has nothing.
fn handles() -> Answer {
    let names: Vec<&str> = primitives::handles()
        .map_err(said)?
        .iter()
        .map(|handle| match handle {
            Handle::Lock(_) => "lock",
            Handle::Semaphore(_) => "semaphore",
            Handle::Event(_) => "event",
            Handle::Queue(_) => "queue",
            Handle::Pipe(_) => "pipe",
        })
        .collect();
    match primitives::handles() {
        Ok(rest) if rest.is_empty() => Ok(names.join(" ").into_bytes()),
        rest => Err(format!("again: {}", rest.map_or_else(said, |rest| rest.len().to_string()))),
    }
}

/// Every operation of its own primitives, with what each says where it cannot be done.
fn own() -> Result<Vec<u8>, Error> {
    const SOON: Option<u64> = Some(1_000_000);
    let lock = Lock::new()?;
    assert_eq!(lock.release(), Err(Error::NotHolder));
    assert_eq!(lock.acquire(None), Ok(false));
    assert_eq!(lock.acquire(Some(0)), Err(Error::AlreadyHeld));
    lock.release()?;

    let semaphore = Semaphore::new(1)?;
    semaphore.acquire(Some(0))?;
    assert_eq!(semaphore.available(), Ok(0));
    assert_eq!(semaphore.acquire(Some(0)), Err(Error::TimedOut));
    assert_eq!(semaphore.acquire(SOON), Err(Error::TimedOut));
    semaphore.release()?;

    let event = Event::new()?;
    assert_eq!(event.wait(Some(0)), Err(Error::TimedOut));
    assert_eq!(event.wait(SOON), Err(Error::TimedOut));
    event.set()?;
    event.wait(None)?;
    event.clear()?;
    assert_eq!(event.is_set(), Ok(false));

    let queue = Queue::new(Some(1), Some(100))?;
    assert_eq!(Queue::new(Some(0), None).map(drop), Err(Error::Invalid));
    assert_eq!(queue.get(Some(0)).map(drop), Err(Error::Empty));
    assert_eq!(queue.get(SOON).map(drop), Err(Error::Empty));
    assert_eq!(queue.put(&[0; 101], &[], None), Err(Error::TooLarge));
    queue.put(b"locked", &[Lent::Lock(&lock)], None)?;
    assert_eq!(queue.put(b"more", &[], Some(0)), Err(Error::Full));
    assert_eq!(queue.put(b"more", &[], SOON), Err(Error::Full));
    assert_eq!(queue.len(), Ok(1));
    lock.acquire(None)?;
    let Message { bytes, handles } = queue.get(None)?;
    // It is the same lock, and this process has it.
    let [Handle::Lock(same)] = &handles[..] else { return Err(Error::Invalid) };
    same.release()?;
    queue.close()?;
    assert_eq!(queue.get(None).map(drop), Err(Error::Closed));

    let (from, to) = Pipe::new(false)?;
    assert_eq!(from.recv(Some(0)).map(drop), Err(Error::TimedOut));
    to.send(&bytes, &[], None)?;
    let received = from.recv(None)?;
    drop(to);
    assert_eq!(from.recv(None).map(drop), Err(Error::Closed));
    Ok(received.bytes)
}

/// Takes the lock and the permit that it is handed, says so, and never gives them back.
fn hold() -> Answer {
    let given = primitives::handles().map_err(said)?;
    let [Handle::Lock(lock), Handle::Semaphore(semaphore), Handle::Queue(queue)] = &given[..]
    else {
        return Err("a lock, a semaphore and a queue".into());
    };
    let died = lock.acquire(None).map_err(said)?;
    semaphore.acquire(None).map_err(said)?;
    let told = if died { &b"after a death"[..] } else { b"held" };
    queue.put(told, &[], None).map_err(said)?;
    loop {
        let _ = Event::new().and_then(|event| event.wait(None));
    }
}

/// Sends the input, and a queue of its own, to the queue that it is handed, and waits for the answer.
fn give(text: &str) -> Answer {
    let given = primitives::handles().map_err(said)?;
    let [Handle::Queue(queue)] = &given[..] else { return Err("a queue".into()) };
    let own = Queue::new(None, None).map_err(said)?;
    queue.put(text.as_bytes(), &[Lent::Queue(&own)], None).map_err(said)?;
    own.get(None).map(|message| message.bytes).map_err(said)
}

/// Has as many locks as it can; none is lost for the host.
fn many() -> Answer {
    let mut locks = Vec::new();
    loop {
        match Lock::new() {
            Ok(lock) => locks.push(lock),
            Err(Error::Exhausted) => return Ok(b"exhausted".to_vec()),
            Err(e) => return Err(said(e)),
        }
    }
}
