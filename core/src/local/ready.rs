//! Waiting for several things at once: a place in the list of each.

use super::Home;
use super::connection::{LocalConnection, LocalListener};
use super::life::same_home;
use super::pipe::LocalPipe;
use super::process::LocalProcess;
use super::queue::LocalQueue;
use super::sleep::{WaitList, block};
use crate::observe::Operation;
use crate::{Error, Result, Wait, Waitable};
use std::any::Any;
use std::sync::Arc;

/// A thing that is waited for.
struct Source<'a> {
    home: &'a Arc<Home>,
    list: &'a Arc<WaitList>,
    is_ready: Box<dyn Fn() -> bool + 'a>,
}

fn source(it: &Waitable) -> Option<Source<'_>> {
    fn of<T: Any>(raw: &dyn Any) -> Option<&T> {
        raw.downcast_ref()
    }
    macro_rules! source {
        ($it:ident, $channel:expr) => {{
            let channel = &$channel;
            let is_ready = Box::new(move || channel.is_ready());
            Source { home: &$it.home, list: &channel.filled, is_ready }
        }};
    }
    Some(match it {
        Waitable::Queue(raw) => {
            let it: &LocalQueue = of(&**raw)?;
            source!(it, it.channel)
        }
        Waitable::Pipe(raw) => {
            let it: &LocalPipe = of(&**raw)?;
            source!(it, it.incoming)
        }
        Waitable::Connection(raw) => {
            let it: &LocalConnection = of(&**raw)?;
            source!(it, it.incoming)
        }
        Waitable::Listener(raw) => {
            let it: &LocalListener = of(&**raw)?;
            source!(it, it.backlog)
        }
        Waitable::Process(raw) => {
            let LocalProcess(life) = of(&**raw)?;
            let is_ready = Box::new(|| life.status().is_some());
            Source { home: &life.home, list: &life.ended, is_ready }
        }
    })
}

pub(super) fn ready(home: &Arc<Home>, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
    let sources: Vec<_> =
        those.iter().map(source).collect::<Option<_>>().ok_or(Error::ForeignHandle)?;
    sources.iter().try_for_each(|source| same_home(home, Some(source.home)))?;
    let lists: Vec<_> = sources.iter().map(|source| source.list).collect();
    block(wait, (Operation::Ready, 0), &lists, || {
        let are = sources.iter().enumerate().filter(|(_, source)| (source.is_ready)());
        let are: Vec<_> = are.map(|(index, _)| index).collect();
        (!are.is_empty()).then_some(Ok(are))
    })
}
