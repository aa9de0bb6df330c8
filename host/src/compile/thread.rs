//! Compiling where there can be no child: on a thread of its own, which nobody can end. Who waits for
//! it goes on when the time is up.

use super::{Failure, Job, Patience, work};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

/// The most such threads, those that were left behind among them.
const MOST: usize = 4;

static THREADS: AtomicUsize = AtomicUsize::new(0);

struct Place;

impl Place {
    fn take() -> Option<Place> {
        let more = |n| (n < MOST).then_some(n + 1);
        THREADS.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok().map(|_| Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the job comes to, if it takes no longer than it may.
pub(super) fn perform(job: &Job<'_>, patience: Patience) -> Result<Vec<u8>, Failure> {
    let failed = |why: &str| Failure::Refused(format!("it cannot be compiled: {why}"));
    let place = Place::take().ok_or_else(|| failed("too many modules are being compiled"))?;
    let (done, result) = channel();
    let (what, settings, image) = (job.work, job.settings, job.image as u64);
    let most = job.time;
    let input = work::join(job.parts);
    let work = move || {
        let _place = place;
        // Nobody may want it any more.
        let _ = done.send(work::perform(what, settings, image, &input));
    };
    let thread = std::thread::Builder::new().name("procbox-compile".into());
    thread.spawn(work).map_err(|e| failed(&e.to_string()))?;
    let began = Instant::now();
    loop {
        match result.recv_timeout(patience.next()?) {
            Ok(compiled) => return compiled.map_err(Failure::Refused),
            Err(RecvTimeoutError::Disconnected) => return Err(failed("the compiler failed")),
            Err(RecvTimeoutError::Timeout) if began.elapsed() > most => {
                return Err(failed(&format!("it takes more than {most:?}")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
