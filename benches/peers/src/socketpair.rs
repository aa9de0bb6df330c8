//! A pair of Unix sockets between two processes: what programs take that want no library.

use crate::child::Child;
use procbox_benches::{Case, LARGE, MIDDLE};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let case = |group, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender: "socketpair",
        ops: None,
        run: Box::new(run),
    };
    vec![
        case("queue/64KiB/1p1c", |n| stream(MIDDLE, n)),
        case("queue/1MiB/1p1c", |n| stream(LARGE, n)),
        case("pipe/ping-pong", ping_pong),
    ]
}

fn stream(size: usize, n: u64) -> anyhow::Result<Duration> {
    let (mut here, mut there) = UnixStream::pair()?;
    let message = vec![7; size];
    let producer = Child::start(move || (0..=n).try_for_each(|_| Ok(there.write_all(&message)?)))?;
    let mut got = vec![0; size];
    here.read_exact(&mut got)?;
    let began = Instant::now();
    for _ in 0..n {
        here.read_exact(&mut got)?;
        black_box(&got);
    }
    let took = began.elapsed();
    producer.join()?;
    Ok(took)
}

fn ping_pong(n: u64) -> anyhow::Result<Duration> {
    let (mut here, mut there) = UnixStream::pair()?;
    let echo = Child::start(move || {
        let mut message = [0; 8];
        (0..n).try_for_each(|_| {
            there.read_exact(&mut message)?;
            Ok(there.write_all(&message)?)
        })
    })?;
    let mut message = [7; 8];
    let began = Instant::now();
    for _ in 0..n {
        here.write_all(&message)?;
        here.read_exact(&mut message)?;
    }
    let took = began.elapsed();
    echo.join()?;
    Ok(took)
}
