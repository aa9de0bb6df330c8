//! The ambient context: the one that a program and its workers have without making it.

use crate::arena::Arena;
use crate::kinds;
use crate::start::request::ENVIRONMENT;
use procbox_core::random::{Random, SystemRandom};
use procbox_core::raw::RawContext;
use procbox_core::{Bytes, Context, Error, Identity, Result, WeakContext};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Random bytes in an authkey.
const AUTHKEY: usize = 32;

/// The ambient context's inner part: one per process, since handles belong to one arena.
static AMBIENT: OnceLock<Arc<dyn RawContext>> = OnceLock::new();
/// In a worker: what the ambient context is made of, if the worker asks for it.
static INHERITED: OnceLock<(Arc<Arena>, Identity)> = OnceLock::new();
/// The context around it, if the process has asked for it.
static CURRENT: Mutex<Current> = Mutex::new(Current::None);

/// True while a zygote runs the worker after which its processes begin: it is none of them.
static WITHHELD: AtomicBool = AtomicBool::new(false);

enum Current {
    None,
    /// In the first process: it closes when the program drops its last clone.
    Borrowed(WeakContext),
    /// In a worker: it closes at the worker's end.
    Kept(Context),
}

/// The ambient context, which is made by `make` if it is not there yet.
///
/// # Errors
/// Those of `make`, [`Error::Os`], [`Error::Exhausted`], and [`Error::Invalid`] in a zygote that did
/// not become one.
pub(crate) fn context(
    make: impl FnOnce(Arc<Arena>, Identity) -> Result<Arc<dyn RawContext>>,
) -> Result<Context> {
    if std::env::var_os(ENVIRONMENT).is_some() {
        return Err(Error::Invalid("a zygote has no context".into()));
    }
    if WITHHELD.load(Ordering::Relaxed) {
        let why = "a worker after which processes begin has no context: they would not have it";
        return Err(Error::Invalid(why.into()));
    }
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*current {
        Current::Kept(context) => return Ok(context.clone()),
        Current::Borrowed(weak) => {
            if let Some(context) = weak.upgrade() {
                return Ok(context);
            }
        }
        Current::None => {}
    }
    let native = match (AMBIENT.get(), INHERITED.get()) {
        (Some(native), _) => native.clone(),
        (None, inherited) => {
            let (arena, identity) = match inherited {
                Some((arena, identity)) => (arena.clone(), identity.clone()),
                None => (Arena::create(&kinds::ABOVE, None)?, first_identity()?),
            };
            let native = make(arena, identity)?;
            AMBIENT.get_or_init(|| native).clone()
        }
    };
    let is_worker = native.identity().parent.is_some();
    let context = Context::from_raw(native);
    *current = if is_worker {
        Current::Kept(context.clone())
    } else {
        Current::Borrowed(context.downgrade())
    };
    Ok(context)
}

/// Says whether there is none.
pub(crate) fn withhold(yes: bool) {
    WITHHELD.store(yes, Ordering::Relaxed);
}

/// In a worker: what the ambient context is going to be made of.
pub(crate) fn inherit(arena: Arc<Arena>, identity: Identity) {
    let _ = INHERITED.set((arena, identity));
}

/// At the end of a worker: ends daemons and joins the other processes that it started.
pub(crate) fn leave() {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = std::mem::replace(&mut *current, Current::None);
    drop(current);
    drop(kept);
}

/// Identity of this process, to the contexts that it makes.
///
/// # Errors
/// [`Error::Os`] if there are no random bytes for the key of a first process.
pub(crate) fn identity() -> Result<Identity> {
    match (INHERITED.get(), AMBIENT.get()) {
        (Some((_, identity)), _) => Ok(identity.clone()),
        (None, Some(ambient)) => Ok(ambient.identity()),
        (None, None) => first_identity(),
    }
}

fn first_identity() -> Result<Identity> {
    let mut key = vec![0; AUTHKEY];
    SystemRandom.fill(&mut key)?;
    let mut first = Identity::new("MainProcess", std::process::id());
    first.authkey = Bytes(key);
    Ok(first)
}
