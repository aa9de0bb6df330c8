//! Sockets that are watched: one thread of this process polls all of them, and wakes those who wait for
//! one of them. It is started by the first watch, and sleeps when there is none.
//!
//! A socket is in the set once, for all who wait for it, and for one event: who is woken tries, and
//! watches it again. It leaves the set before it is closed, so that none is taken for another that has its
//! number.

use crate::sync::wakers::Wakers;
use crate::syscalls::{self, os};
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use procbox_core::Result;
use procbox_core::raw::Watch;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The events that one call of the thread takes.
const PER_WAIT: usize = 256;

/// The set of this process; a process that was forked has none of it.
static SOCKETS: Mutex<Option<(u32, Arc<Sockets>)>> = Mutex::new(None);

/// The sockets that are watched, and the thread that polls them.
struct Sockets {
    epoll: Epoll,
    /// By their numbers here: those that somebody waits for, and what for.
    watched: Mutex<HashMap<u64, (Arc<Wakers>, EpollFlags)>>,
}

/// A socket, as the set knows it.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// 0 until it is watched first. A number is used once.
    number: AtomicU64,
    /// The process in whose set it is: one that was forked from that adds it to its own.
    pid: AtomicU32,
}

/// The set of this process, if it has one.
fn sockets() -> Option<Arc<Sockets>> {
    let now = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    now.as_ref().filter(|(pid, _)| *pid == syscalls::pid()).map(|(_, sockets)| sockets.clone())
}

/// The set of this process, which is made if there is none.
fn sockets_or_new() -> Result<Arc<Sockets>> {
    let mut now = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = syscalls::pid();
    if let Some((of, sockets)) = &*now
        && *of == pid
    {
        return Ok(sockets.clone());
    }
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| os("epoll_create", e))?;
    let sockets = Arc::new(Sockets { epoll, watched: Mutex::default() });
    let own = sockets.clone();
    std::thread::Builder::new()
        .name("procbox-sockets".into())
        .spawn(move || own.run())
        .map_err(|e| os("thread", e))?;
    *now = Some((pid, sockets.clone()));
    Ok(sockets)
}

impl Sockets {
    fn watched(&self) -> MutexGuard<'_, HashMap<u64, (Arc<Wakers>, EpollFlags)>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut events = [EpollEvent::empty(); PER_WAIT];
        loop {
            // An error is an interruption by a signal.
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
            for event in &events[..count] {
                // It stays in the set, for no event, until it is watched again or closed.
                let due = self.watched().remove(&event.data());
                if let Some((wakers, _)) = due {
                    wakers.wake();
                }
            }
        }
    }
}

impl Place {
    /// Has a waker woken when there is one of these events of a socket, whose place this is.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`] if there is no thread, or no more room in the set.
    pub(super) fn watch(
        &self,
        socket: BorrowedFd<'_>,
        events: PollFlags,
        waker: &Waker,
    ) -> Result<Watch> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let sockets = sockets_or_new()?;
        let mut watched = sockets.watched();
        let is_new = self.number_here().is_none();
        if is_new {
            self.pid.store(syscalls::pid(), Ordering::Relaxed);
            self.number.store(NEXT.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        let number = self.number.load(Ordering::Relaxed);
        let wanted = EpollFlags::from_bits_truncate(i32::from(events.bits()));
        let (wakers, before) = watched
            .get(&number)
            .cloned()
            .unwrap_or_else(|| (Arc::default(), EpollFlags::EPOLLONESHOT));
        let wanted = before | wanted;
        let of = wakers.add(waker);
        let mut event = EpollEvent::new(wanted, number);
        let set = if is_new {
            sockets.epoll.add(socket, event)
        } else {
            sockets.epoll.modify(socket, &mut event)
        };
        if let Err(e) = set {
            if is_new {
                self.number.store(0, Ordering::Relaxed);
            }
            drop(watched);
            wakers.remove(of);
            return Err(os("epoll_ctl", e));
        }
        watched.insert(number, (wakers.clone(), wanted));
        drop(watched);
        Ok(Watch::new(Listed { sockets, number, wakers, of }))
    }

    /// Its number in this process's set, if it is in that.
    fn number_here(&self) -> Option<u64> {
        let number = self.number.load(Ordering::Relaxed);
        (number != 0 && self.pid.load(Ordering::Relaxed) == syscalls::pid()).then_some(number)
    }

    /// The socket is about to be closed.
    pub(super) fn close(&self, socket: BorrowedFd<'_>) {
        let Some(number) = self.number_here() else { return };
        let Some(sockets) = sockets() else { return };
        let mut watched = sockets.watched();
        // It is in the set, and open.
        let _ = sockets.epoll.delete(socket);
        let left = watched.remove(&number);
        drop(watched);
        left.into_iter().for_each(|(wakers, _)| wakers.wake());
    }
}

/// A watch.
struct Listed {
    sockets: Arc<Sockets>,
    number: u64,
    wakers: Arc<Wakers>,
    of: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.wakers.remove(self.of);
        let mut watched = self.sockets.watched();
        let is_over =
            |(wakers, _): &(Arc<Wakers>, _)| Arc::ptr_eq(wakers, &self.wakers) && wakers.is_empty();
        // The next event wakes nobody.
        if watched.get(&self.number).is_some_and(is_over) {
            watched.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    struct Tells(Sender<()>);

    impl Wake for Tells {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_socket_that_a_parent_watched_is_added_to_the_set_of_the_child() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let place = Place { number: AtomicU64::new(u64::MAX), pid: AtomicU32::new(1) };
        // What another process has in its set is not taken out of this one's.
        place.close(reader.as_fd());
        let (woken, wakes) = channel();
        let waker = Waker::from(Arc::new(Tells(woken)));
        for _ in 0..2 {
            let watch = place.watch(reader.as_fd(), PollFlags::POLLIN, &waker).unwrap();
            writer.write_all(b"x").unwrap();
            wakes.recv().unwrap();
            drop(watch);
        }
        place.close(reader.as_fd());
    }
}
