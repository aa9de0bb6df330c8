//! Workers: the functions of a program that can be started as processes or given tasks by a pool.
//!
//! On the starting side a worker is a name with the types of its arguments; on the running side it
//! is a [`Function`] from one message to another. `#[worker]` of `procbox-guest` writes both.

use crate::{Handle, Message, codec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Deref;

/// A worker of this very program, by name, with the types of its arguments `P` and of what it
/// returns `R`. It can also be called, as the function `F` that it is.
///
/// ```
/// use procbox_core::Worker;
/// fn twice(n: u64) -> u64 {
///     2 * n
/// }
/// let double: Worker<(u64,), u64, fn(u64) -> u64> = Worker::new("double", twice);
/// assert_eq!(double(4), 8);
/// ```
#[derive(Debug)]
pub struct Worker<P, R, F> {
    name: &'static str,
    function: F,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R, F> Worker<P, R, F> {
    /// Names a function. `#[worker]` calls this. For a worker of another program, whose function is
    /// not at hand, `F` is `()`.
    ///
    /// ```
    /// let remember = procbox_core::Worker::<(u64,), (), ()>::new("remember", ());
    /// ```
    pub const fn new(name: &'static str, function: F) -> Worker<P, R, F> {
        Worker { name, function, types: PhantomData }
    }

    /// The worker's name.
    ///
    /// ```
    /// let remember = procbox_core::Worker::<(u64,), (), ()>::new("remember", ());
    /// assert_eq!(remember.name(), "remember");
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<P, R, F> Deref for Worker<P, R, F> {
    type Target = F;
    fn deref(&self) -> &F {
        &self.function
    }
}

/// A worker that is a struct with a `run`. `#[worker]` on its `impl` block writes this.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Clock {
///     ticks: u32,
/// }
/// impl procbox_core::Runnable for Clock {
///     const NAME: &'static str = "Clock";
/// }
/// ```
pub trait Runnable: Serialize + Sized {
    /// The worker's name: the struct's.
    const NAME: &'static str;
}

/// What a program offers, as `procbox workers` prints it.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// for worker in ctx.workers()? {
///     println!("{}", worker.signature.unwrap_or(worker.name));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The worker's name.
    pub name: String,
    /// Its signature as written, if the program says.
    pub signature: Option<String>,
}

/// A value that may be given where a `T` is expected: a `T` or a `&T`, and `&str` for `String`.
///
/// Both sides have the same bytes on the wire.
///
/// ```
/// fn takes<T, A: procbox_core::Arg<T>>(_: A) {}
/// takes::<String, _>("a");
/// takes::<u64, _>(&3);
/// ```
pub trait Arg<T: ?Sized>: Serialize {}

impl<T: Serialize> Arg<T> for T {}
impl<T: Serialize> Arg<T> for &T {}
impl Arg<String> for str {}
impl Arg<String> for &str {}
impl<T: Serialize> Arg<Vec<T>> for [T] {}
impl<T: Serialize> Arg<Vec<T>> for &[T] {}

/// A tuple of arguments that may be given where the tuple `P` is expected.
///
/// ```
/// fn takes<P, A: procbox_core::Args<P>>(_: A) {}
/// takes::<(String, u64), _>(("a", &3));
/// ```
pub trait Args<P>: Serialize {}

macro_rules! args {
    ($($a:ident $p:ident),*) => {
        impl<$($a: Arg<$p>, $p),*> Args<($($p,)*)> for ($($a,)*) {}
    };
}

impl Args<()> for () {}

/// In place of a worker's argument types where only its name is known: any arguments may be given,
/// and the worker checks that they decode. Write `3u32`, not `3`, where it expects a `u32`.
///
/// ```
/// fn takes<A: procbox_core::Args<procbox_core::Untyped>>(_: A) {}
/// takes((3u32, "a"));
/// ```
#[derive(Debug)]
pub struct Untyped;

impl<A: Serialize> Args<Untyped> for A {}

args!(A0 P0);
args!(A0 P0, A1 P1);
args!(A0 P0, A1 P1, A2 P2);
args!(A0 P0, A1 P1, A2 P2, A3 P3);
args!(A0 P0, A1 P1, A2 P2, A3 P3, A4 P4);
args!(A0 P0, A1 P1, A2 P2, A3 P3, A4 P4, A5 P5);
args!(A0 P0, A1 P1, A2 P2, A3 P3, A4 P4, A5 P5, A6 P6);
args!(A0 P0, A1 P1, A2 P2, A3 P3, A4 P4, A5 P5, A6 P6, A7 P7);

/// The arguments of one call, still encoded.
///
/// ```
/// let call = procbox_core::Call::new(&[3], Vec::new());
/// assert_eq!(call.arguments::<(u8,)>(), Ok((3,)));
/// ```
#[derive(Debug)]
pub struct Call<'a> {
    bytes: &'a [u8],
    handles: Vec<Handle>,
}

impl<'a> Call<'a> {
    /// The handles go with it: one that the worker drops is then gone.
    pub fn new(bytes: &'a [u8], handles: Vec<Handle>) -> Call<'a> {
        Call { bytes, handles }
    }

    /// Decodes the arguments, a tuple.
    ///
    /// ```
    /// use procbox_core::{Call, Message};
    /// let message = Message::of(&(3u32, "a"))?;
    /// let call = Call::new(&message.bytes, message.handles);
    /// assert_eq!(call.arguments::<(u32, String)>(), Ok((3, "a".to_string())));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The message of an [`crate::Error::Decode`].
    pub fn arguments<P: DeserializeOwned>(self) -> std::result::Result<P, String> {
        codec::decode_owned(self.bytes, self.handles).map_err(|e| e.to_string())
    }
}

/// What a call came to: nothing more than its result, which is elsewhere, or its error's message.
pub type Outcome = std::result::Result<(), String>;

/// A worker's function: decodes its arguments, and puts its encoded result in place of what the
/// message held. A pool's worker uses one message for all its tasks, so that a task need not
/// allocate.
///
/// ```
/// use procbox_core::{Call, Function, Message, end_of};
/// let double: Function = |call, result| {
///     let (n,): (u64,) = call.arguments()?;
///     end_of(2 * n, result)
/// };
/// let (arguments, mut result) = (Message::of(&(4u64,))?, Message::default());
/// double(Call::new(&arguments.bytes, arguments.handles), &mut result).unwrap();
/// assert_eq!(result.value::<u64>()?, 8);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub type Function = fn(Call<'_>, &mut Message) -> Outcome;

/// The outcome of a worker that cannot fail.
///
/// ```
/// use procbox_core::{Message, end_of};
/// let mut result = Message::default();
/// end_of(4u64, &mut result)?;
/// assert_eq!(result.value(), Ok(4u64));
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// The message of the error if the value cannot be encoded.
pub fn end_of<T: Serialize>(value: T, result: &mut Message) -> Outcome {
    result.bytes.clear();
    result.handles = codec::encode(&value, &mut result.bytes).map_err(|e| e.to_string())?;
    Ok(())
}

/// The outcome of a worker that returns a `Result`.
///
/// ```
/// use procbox_core::{Message, end_of_result};
/// let failed: Result<u64, String> = Err("no".into());
/// assert_eq!(end_of_result(failed, &mut Message::default()), Err("no".to_string()));
/// ```
///
/// # Errors
/// The error with its causes, as one line.
pub fn end_of_result<T: Serialize, E: Display>(
    ended: std::result::Result<T, E>,
    result: &mut Message,
) -> Outcome {
    match ended {
        Ok(value) => end_of(value, result),
        Err(e) => Err(format!("{e:#}")),
    }
}
