//! The crate `crossbeam-channel`, between two threads: what a queue costs that need not leave the process.

use crossbeam::channel;
use procbox_benches::{Case, QUEUED, SMALL};
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let (group, contender) = ("queue/64B/1p1c", "crossbeam-channel");
    vec![Case { group, contender, ops: None, run: Box::new(queue) }]
}

fn queue(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = channel::bounded(QUEUED);
    let producer = std::thread::spawn(move || (0..=n).try_for_each(|_| sender.send([7u8; SMALL])));
    receiver.recv()?;
    let began = Instant::now();
    for _ in 0..n {
        receiver.recv()?;
    }
    let took = began.elapsed();
    producer.join().map_err(|_| anyhow::anyhow!("the peer's thread panicked"))??;
    Ok(took)
}
