//! Workers as those see them who start them: a name with the types of its arguments.
//!
//! On the running side a worker is a [`crate::runner::Function`]. `#[worker]` of `procbox-guest`
//! writes both.

use serde::Serialize;
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

/// A value that may be given where a `T` is expected: a `T` or a `&T`, and `&str` for `String`.
///
/// Both sides have the same bytes on the wire.
///
/// ```
/// fn takes<T, A: procbox_core::worker::Arg<T>>(_: A) {}
/// takes::<String, _>("a");
/// takes::<u64, _>(&3);
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot be given to a worker that takes a `{T}`",
    label = "the worker takes a `{T}`",
    note = "a `T` is given as a `T` or a `&T`, a `String` also as a `&str`, a `Vec<T>` also as a `&[T]`"
)]
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
/// fn takes<P, A: procbox_core::worker::Args<P>>(_: A) {}
/// takes::<(String, u64), _>(("a", &3));
/// ```
#[diagnostic::on_unimplemented(
    message = "the arguments `{Self}` cannot be given to a worker that takes `{P}`",
    label = "the worker takes `{P}`"
)]
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
/// fn takes<A: procbox_core::worker::Args<procbox_core::worker::Untyped>>(_: A) {}
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
