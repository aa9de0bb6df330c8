//! `poll_oneoff`: how a WASI guest sleeps, and waits until there is something to read.
//!
//! Written here instead of taken from wasmtime-wasi, whose clock needs a tokio runtime: sleeping goes
//! through our runtime's timers. What can be waited for besides is `readiness`'s.
//!
//! The layouts are those of WASI preview 1 (`wasi_snapshot_preview1.witx`): a subscription has 48
//! bytes, an event 32.

use super::readiness::{Readiness, Way, fd_readiness};
use crate::guest::core_module::Memory;
use crate::runtime::{Runtime, Sleep};
use crate::state::State;
use crate::wasi::clock::since_epoch;
use procbox_core::Wait;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::{Caller, Linker};

const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// The most subscriptions in one call; the guest's memory would allow absurdly more.
const MOST: u32 = 4096;

const SUCCESS: i32 = 0;
const EFAULT: i32 = 21;
const EINVAL: i32 = 28;

/// Kinds of subscriptions.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;
const ABSOLUTE: u16 = 1;

/// How long one waits who waits for room in a stream, before it looks again: at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "poll_oneoff",
        |mut caller: Caller<'_, State>, (subs, events, n, count): (u32, u32, u32, u32)| {
            Box::new(async move { poll_oneoff(&mut caller, subs, events, n, count).await })
        },
    )?;
    Ok(())
}

/// What a subscription is of.
enum Of {
    /// A clock: how long to wait.
    Clock(Duration),
    Fd(i32, Way),
    /// Nothing that there is: an error number.
    Nothing(u16),
}

struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    of: Of,
}

/// How a subscription stands.
#[derive(Clone, Copy)]
enum Standing {
    After(Duration),
    Of(Readiness),
}

async fn poll_oneoff(
    caller: &mut Caller<'_, State>,
    subs: u32,
    events: u32,
    n: u32,
    count: u32,
) -> wasmtime::Result<i32> {
    if n == 0 || n > MOST {
        return Ok(EINVAL);
    }
    let (memory, state) = Memory::of(caller);
    state.work.wasi();
    state.work.handles(n as usize);
    let runtime = state.process.runtime.clone();
    let mut wanted = Vec::with_capacity(n as usize);
    for i in 0..n as usize {
        let Some(bytes) = memory.get(subs as usize + i * SUBSCRIPTION, SUBSCRIPTION) else {
            return Ok(EFAULT);
        };
        match read(bytes, &runtime) {
            Some(subscription) => wanted.push(subscription),
            None => return Ok(EINVAL),
        }
    }
    // As much as there may be is written below: it is looked at before anything is waited for.
    if memory.get(events as usize, n as usize * EVENT).is_none() {
        return Ok(EFAULT);
    }
    let mut standing = Vec::with_capacity(wanted.len());
    let mut known: Vec<(i32, Way, Readiness)> = Vec::new();
    for subscription in &wanted {
        standing.push(match subscription.of {
            Of::Clock(wait) => Standing::After(wait),
            Of::Nothing(errno) => Standing::Of(Readiness::Failed(errno)),
            Of::Fd(fd, way) => {
                let found = known.iter().find(|(own, its, _)| (*own, *its) == (fd, way));
                let of = match found {
                    Some((.., readiness)) => *readiness,
                    None => {
                        let readiness = fd_readiness(caller, fd, way).await?;
                        known.push((fd, way, readiness));
                        readiness
                    }
                };
                Standing::Of(of)
            }
        });
    }
    wait(&runtime, &mut standing).await;
    let (mut memory, _) = Memory::of(caller);
    let mut written = 0;
    for (subscription, standing) in wanted.iter().zip(&standing) {
        let Some(event) = event(subscription, *standing) else { continue };
        if !memory.put(events as usize + written * EVENT, &event) {
            return Ok(EFAULT);
        }
        written += 1;
    }
    let told = memory.put(count as usize, &(written as u32).to_le_bytes());
    Ok(if told { SUCCESS } else { EFAULT })
}

/// A subscription; `None` if it is of no kind that there is.
fn read(bytes: &[u8], runtime: &Runtime) -> Option<Subscription> {
    let u64_at = |at: usize| {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(raw)
    };
    let u32_at_16 = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
    let mut userdata = [0; 8];
    userdata.copy_from_slice(&bytes[..8]);
    let kind = bytes[8];
    let of = match kind {
        CLOCK => {
            let timeout = Duration::from_nanos(u64_at(24));
            let absolute = u16::from_le_bytes([bytes[40], bytes[41]]) & ABSOLUTE != 0;
            match (u32_at_16, absolute) {
                (CLOCK_REALTIME | CLOCK_MONOTONIC, false) => Of::Clock(timeout),
                (CLOCK_REALTIME, true) => Of::Clock(timeout.saturating_sub(since_epoch(runtime))),
                (CLOCK_MONOTONIC, true) => Of::Clock(timeout.saturating_sub(runtime.elapsed())),
                _ => Of::Nothing(EINVAL as u16),
            }
        }
        FD_READ => Of::Fd(u32_at_16.cast_signed(), Way::Read),
        FD_WRITE => Of::Fd(u32_at_16.cast_signed(), Way::Write),
        _ => return None,
    };
    Some(Subscription { userdata, kind, of })
}

/// The event of a subscription, if there is one.
fn event(subscription: &Subscription, standing: Standing) -> Option<[u8; EVENT]> {
    let (errno, bytes) = match standing {
        Standing::After(Duration::ZERO) => (0, 0),
        Standing::Of(Readiness::Ready(bytes)) => (0, bytes),
        Standing::Of(Readiness::Failed(errno)) => (errno, 0),
        Standing::After(_) | Standing::Of(Readiness::Stdin | Readiness::Room(_)) => return None,
    };
    let mut event = [0; EVENT];
    event[..8].copy_from_slice(&subscription.userdata);
    event[8..10].copy_from_slice(&errno.to_le_bytes());
    event[10] = subscription.kind;
    event[16..24].copy_from_slice(&bytes.to_le_bytes());
    Some(event)
}

/// Waits until one of them is ready, and says so of all that are then.
async fn wait(runtime: &Arc<Runtime>, all: &mut [Standing]) {
    let began = runtime.elapsed();
    let shortest = all.iter().filter_map(|one| match one {
        Standing::After(wait) => Some(*wait),
        Standing::Of(_) => None,
    });
    let end = shortest.min().map_or(Wait::Forever, Wait::AtMost);
    let mut end = runtime.sleep_until(end.deadline(&**runtime.clock()));
    let mut pause = PAUSE.0;
    let mut stdin = all
        .iter()
        .any(|one| matches!(one, Standing::Of(Readiness::Stdin)))
        .then(|| Box::pin(Readiness::until_stdin()));
    loop {
        let is_over = |own: Pin<&mut Sleep>, cx: &mut Context<'_>| own.poll(cx).is_ready();
        // Where nothing else is to be looked at, no pause ends the wait.
        let looks = all.iter().any(|one| matches!(one, Standing::Of(Readiness::Room(_))));
        for one in all.iter_mut() {
            match one {
                Standing::Of(of) => of.look(),
                Standing::After(wait) => {
                    // Counted from the beginning, which a clock that stands still does not leave.
                    if runtime.elapsed().saturating_sub(began) >= *wait {
                        *wait = Duration::ZERO;
                    }
                }
            }
        }
        let is_ready = |one: &Standing| match one {
            Standing::After(wait) => wait.is_zero(),
            Standing::Of(of) => of.is_known(),
        };
        if all.iter().any(is_ready) {
            return;
        }
        let next = if looks { Wait::AtMost(pause) } else { Wait::Forever };
        let mut next = pin!(runtime.sleep_until(next.deadline(&**runtime.clock())));
        pause = (pause * 2).min(PAUSE.1);
        let has_come = poll_fn(|cx| {
            if let Some(stdin) = &mut stdin
                && stdin.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(true);
            }
            let over = is_over(Pin::new(&mut end), cx) | is_over(next.as_mut(), cx);
            if over { Poll::Ready(false) } else { Poll::Pending }
        })
        .await;
        if has_come {
            for one in all.iter_mut() {
                if let Standing::Of(of @ Readiness::Stdin) = one {
                    *of = Readiness::SOME;
                }
            }
        }
    }
}
