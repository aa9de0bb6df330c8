//! Workers that use locks, semaphores, events, queues and pipes.

use anyhow::ensure;
use procbox_guest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

#[worker]
fn increments(lock: Lock, cell: Queue<u64>, times: u64) -> Result<()> {
    for _ in 0..times {
        let _guard = lock.lock()?;
        let n = cell.try_get()?;
        std::thread::yield_now();
        cell.try_put(&(n + 1))?;
    }
    Ok(())
}

#[worker]
pub(crate) fn holds_lock(lock: Lock, held: Event, go: Event) -> Result<()> {
    let _guard = lock.lock()?;
    held.set();
    go.wait().map(drop)
}

#[worker]
fn acquires_and_returns(lock: Lock) -> Result<()> {
    lock.acquire().map(drop)
}

#[worker]
fn panics_holding(lock: Lock) {
    let _guard = lock.lock();
    panic!("as it should")
}

#[worker]
fn tries_to_release(lock: Lock, out: Queue<String>) -> Result<()> {
    out.put(&format!("{:?}", lock.release()))
}

#[worker]
fn tells_owner_died(lock: Lock, about: Event, out: Queue<bool>) -> Result<()> {
    about.set();
    let guard = lock.lock()?;
    out.put(&guard.owner_died())
}

/// Says on stdout what it was told, once it has a lock and a permit that somebody else had.
#[worker]
fn prints_owner_died(lock: Lock, permits: Semaphore, about: Event) -> Result<()> {
    about.set();
    let guard = lock.lock()?;
    let _permit = permits.permit()?;
    println!("owner died: {}", guard.owner_died());
    Ok(())
}

#[worker]
fn contends(lock: Lock, times: u64) -> Result<()> {
    for _ in 0..times {
        let _guard = lock.lock()?;
        std::thread::yield_now();
    }
    Ok(())
}

#[worker]
fn goes_inside(semaphore: Semaphore, inside: Queue<()>, times: u64) -> Result<()> {
    for _ in 0..times {
        let _permit = semaphore.permit()?;
        inside.try_put(&())?;
        std::thread::yield_now();
        inside.try_get()?;
    }
    Ok(())
}

#[worker]
fn takes_permit(semaphore: Semaphore, about: Event, out: Queue<String>) -> Result<()> {
    about.set();
    let taken = semaphore.acquire();
    out.put(&format!("{taken:?}"))
}

#[worker]
fn holds_permit(semaphore: Semaphore, held: Event, forever: Event) -> Result<()> {
    let _permit = semaphore.permit()?;
    held.set();
    forever.wait().map(drop)
}

#[worker]
fn acquires_and_blocks(semaphore: Semaphore, held: Event, forever: Event) -> Result<()> {
    semaphore.acquire()?;
    held.set();
    forever.wait().map(drop)
}

#[worker]
fn forgets_permit(semaphore: Semaphore) -> Result<()> {
    semaphore.permit()?.forget();
    Ok(())
}

#[worker]
fn hands_on_a_permit(mine: Semaphore, next: Semaphore, rounds: u64) -> Result<()> {
    for _ in 0..rounds {
        // Used up: the next one's is a new one.
        mine.permit()?.forget();
        next.release()?;
    }
    Ok(())
}

#[worker]
fn waits(event: Event, about: Queue<()>, out: Queue<bool>) -> Result<()> {
    about.put(&())?;
    out.put(&event.wait()?)
}

#[worker]
fn waits_at_most(event: Event, millis: u64, out: Queue<bool>) -> Result<()> {
    out.put(&event.wait_timeout(Duration::from_millis(millis))?)
}

#[worker]
fn hands_on_an_event(mine: Event, next: Event, rounds: u64) -> Result<()> {
    for _ in 0..rounds {
        mine.wait()?;
        mine.clear();
        next.set();
    }
    Ok(())
}

#[worker]
fn gets(q: Queue<u32>, about: Queue<()>, out: Queue<String>) -> Result<()> {
    about.put(&())?;
    let got = q.get();
    out.put(&format!("{got:?}"))
}

#[worker]
fn puts(q: Queue<u32>, n: u32, about: Queue<()>, out: Queue<String>) -> Result<()> {
    about.put(&())?;
    let put = q.put(&n);
    out.put(&format!("{put:?}"))
}

/// Puts a message of so many bytes, and says when it has.
#[worker]
fn puts_bytes(q: Queue<Bytes>, size: usize, about: Queue<()>, out: Queue<usize>) -> Result<()> {
    about.put(&())?;
    // One byte says how many there are.
    q.put(&Bytes(vec![7; size - 1]))?;
    out.put(&size)
}

#[worker]
fn echoes_messages(from: Queue<Bytes>, to: Queue<Bytes>) -> Result<()> {
    loop {
        match from.get() {
            Ok(message) => to.put(&message)?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

#[worker]
fn answers_in_each(inbox: Queue<Queue<u32>>) -> Result<()> {
    for n in 0.. {
        match inbox.get() {
            Ok(reply) => reply.put(&n)?,
            Err(Error::Closed) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[worker]
fn does_jobs(jobs: Queue<(u32, Vec<Lock>, Sender<u32>)>) -> Result<()> {
    loop {
        match jobs.get() {
            Ok((n, locks, reply)) => {
                let free = locks.iter().filter(|lock| lock.try_lock().is_ok()).count();
                reply.send(&(n + free as u32))?;
            }
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

#[worker]
fn sends_a_full_queue(inbox: Queue<Queue<u32>>) -> Result<()> {
    let q = procbox_guest::context()?.queue(2)?;
    q.put(&1)?;
    q.put(&2)?;
    inbox.put(&q)
}

#[worker]
fn produces(q: Queue<(u32, u64)>, who: u32, many: u64) -> Result<()> {
    (0..many).try_for_each(|i| q.put(&(who, i)))
}

/// Takes all, sees to it that no producer's numbers go back, and says how many and how much.
#[worker]
fn consumes(q: Queue<(u32, u64)>, sums: Queue<(u64, u64)>) -> anyhow::Result<()> {
    let (mut count, mut sum) = (0, 0);
    let mut last: HashMap<u32, u64> = HashMap::new();
    loop {
        match q.get() {
            Ok((who, i)) => {
                let before = last.insert(who, i);
                ensure!(before.is_none_or(|before| before < i), "{who}: {i} after {before:?}");
                (count, sum) = (count + 1, sum + i);
            }
            Err(Error::Closed) => return Ok(sums.put(&(count, sum))?),
            Err(e) => return Err(e.into()),
        }
    }
}

#[worker]
fn produces_for_ever(q: Queue<(u32, u64, Bytes)>, who: u32) -> Result<()> {
    for i in 0u64.. {
        q.put(&(who, i, Bytes(vec![i as u8; (i * 97 % 3000) as usize])))?;
    }
    Ok(())
}

#[worker]
fn counts_for_ever(q: Queue<u64>) -> Result<()> {
    (0..).try_for_each(|n| q.put(&n))
}

#[worker]
fn forwards(from: Queue<u64>, to: Queue<u64>) -> Result<()> {
    loop {
        to.put(&from.get()?)?;
    }
}

#[worker]
fn hands_on_a_message(mine: Queue<u64>, next: Queue<u64>, rounds: u64) -> Result<()> {
    (0..rounds).try_for_each(|_| next.put(&(mine.get()? + 1)))
}

fn echo(pipe: &Pipe<Bytes>) -> Result<()> {
    loop {
        match pipe.recv() {
            Ok(message) => pipe.send(&message)?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

#[worker]
fn echoes(pipe: Pipe<Bytes>) -> Result<()> {
    echo(&pipe)
}

#[worker]
fn echoes_at_an_end_from(inbox: Queue<Pipe<Bytes>>) -> Result<()> {
    echo(&inbox.get()?)
}

#[worker]
fn sends_numbers(sender: Sender<u32>, many: u32) -> Result<()> {
    (0..many).try_for_each(|n| sender.send(&n))
}

#[worker]
fn sends_one_and_leaves(pipe: Pipe<u32>, n: u32) -> Result<()> {
    pipe.send(&n)
}

#[worker]
fn tells_recv(pipe: Pipe<Bytes>, about: Event, out: Queue<String>) -> Result<()> {
    about.set();
    let received = pipe.recv();
    out.put(&format!("{received:?}"))
}

#[worker]
fn sends_until_it_fails(pipe: Pipe<Bytes>, about: Event, out: Queue<String>) -> Result<()> {
    let message = Bytes(vec![7; 1 << 20]);
    while pipe.try_send(&message).is_ok() {}
    about.set();
    let sent = (0..).try_for_each(|_: u32| pipe.send(&message));
    out.put(&format!("{sent:?}"))
}

/// Sends back each message with every bit turned, read and written in place.
#[worker]
fn reflects_in_place(from: Queue<Bytes>, to: Queue<Bytes>) -> Result<()> {
    loop {
        let message = match from.get_loaned() {
            Ok(message) => message,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut loan = to.loan(message.len())?;
        loan.iter_mut().zip(&*message).for_each(|(to, from)| *to = !from);
        loan.put()?;
    }
}

/// Keeps a message that it reads and one that it writes, until it is killed.
#[worker]
fn keeps_in_place(q: Queue<Bytes>, held: Queue<()>) -> Result<()> {
    let (message, mut loan) = (q.get_loaned()?, q.loan(70_000)?);
    loan.copy_from_slice(&message);
    held.put(&())?;
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}
