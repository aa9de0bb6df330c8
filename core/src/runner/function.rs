//! Workers as a process runs them: functions from one message to another.

use crate::codec;
use crate::raw::{Handle, Message};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::marker::PhantomData;

/// The arguments of one call, still encoded.
///
/// ```
/// let call = procbox_core::runner::Call::new(&[3], Vec::new());
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
    /// use procbox_core::raw::Message;
    /// use procbox_core::runner::Call;
    /// let message = Message::of(&(3u32, "a"))?;
    /// let call = Call::new(&message.bytes, message.handles);
    /// assert_eq!(call.arguments::<(u32, String)>(), Ok((3, "a".to_string())));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The message of an [`crate::Error::Decode`].
    #[inline]
    pub fn arguments<P: DeserializeOwned>(self) -> std::result::Result<P, String> {
        if self.handles.is_empty()
            && let Some(arguments) = codec::decode_plain(self.bytes)
        {
            return Ok(arguments);
        }
        codec::decode_owned(self.bytes, self.handles).map_err(|e| e.to_string())
    }
}

/// The outcome of a call: nothing if it has a result, which is elsewhere, or its error's message.
pub type Outcome = std::result::Result<(), String>;

/// A worker's function: decodes its arguments, and puts its encoded result in place of what the
/// message held. A pool's worker uses one message for all its tasks, so that a task need not
/// allocate.
///
/// ```
/// use procbox_core::raw::Message;
/// use procbox_core::runner::{Call, Function, end_of};
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
/// use procbox_core::raw::Message;
/// use procbox_core::runner::end_of;
/// let mut result = Message::default();
/// end_of(4u64, &mut result)?;
/// assert_eq!(result.value(), Ok(4u64));
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// The message of the error if the value cannot be encoded.
pub fn end_of<T: Serialize>(value: T, result: &mut Message) -> Outcome {
    let Message { bytes, handles } = result;
    bytes.clear();
    handles.clear();
    match codec::encode_more(&value, bytes, handles) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// The outcome of a worker that returns a `Result`.
///
/// ```
/// use procbox_core::raw::Message;
/// use procbox_core::runner::end_of_result;
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

/// The type that a worker's `Result` has on success, whatever its alias makes of the parameters.
///
/// ```
/// use procbox_core::runner::Fallible;
/// type Numbers<T> = Result<Vec<T>, String>;
/// let numbers: <Numbers<u8> as Fallible>::Value = vec![1];
/// # drop(numbers);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called `Result` and is not one",
    label = "a worker's `Result` is `std::result::Result` or an alias of it",
    note = "return the type under another name: `use ... as Ended`"
)]
pub trait Fallible {
    /// What is in its `Ok`.
    type Value;
}

impl<T, E> Fallible for std::result::Result<T, E> {
    type Value = T;
}

/// How a worker's end becomes an outcome, decided by the type of what the worker returned and not by
/// its spelling: an `Err` fails under any alias. `#[worker]` writes the call.
///
/// It has to be written as here, with `(&Ended::of(&value))`: on a `Result` the compiler finds
/// [`EndsAsResult`] first, on everything else only [`EndsAsValue`], a reference further.
///
/// ```
/// use procbox_core::raw::Message;
/// use procbox_core::runner::{Ended, EndsAsResult as _, EndsAsValue as _};
/// type Outcome = Result<u64, String>;
/// let mut message = Message::default();
/// let value: Outcome = Err("no".into());
/// assert_eq!((&Ended::of(&value)).how().end(value, &mut message), Err("no".to_string()));
/// let value = 4u64;
/// assert_eq!((&Ended::of(&value)).how().end(value, &mut message), Ok(()));
/// assert_eq!(message.value(), Ok(4u64));
/// ```
#[derive(Debug)]
pub struct Ended<T>(PhantomData<fn(T)>);

impl<T> Ended<T> {
    /// Looks at a value's type alone.
    pub fn of(_: &T) -> Ended<T> {
        Ended(PhantomData)
    }
}

/// A worker that returned a `Result` under another name.
#[derive(Debug)]
pub struct AsResult;

/// A worker that cannot fail.
#[derive(Debug)]
pub struct AsValue;

/// The choice for a `Result`; see [`Ended`].
pub trait EndsAsResult {
    /// The one that fails on `Err`.
    fn how(&self) -> AsResult {
        AsResult
    }
}

impl<T, E> EndsAsResult for Ended<std::result::Result<T, E>> {}

/// The choice for everything else; see [`Ended`].
pub trait EndsAsValue {
    /// The one that cannot fail.
    fn how(&self) -> AsValue {
        AsValue
    }
}

impl<T> EndsAsValue for &Ended<T> {}

impl AsResult {
    /// Fails on `Err`. An `Ok` is encoded as the whole that it is: who starts the worker knows its
    /// type by the same alias. The type of the error need not be one that travels.
    ///
    /// # Errors
    /// Those of [`end_of_result`].
    pub fn end<T: Serialize, E: Display>(
        self,
        ended: std::result::Result<T, E>,
        result: &mut Message,
    ) -> Outcome {
        end_of_result(ended.map(Whole), result)
    }
}

impl AsValue {
    /// The outcome of [`end_of`].
    ///
    /// # Errors
    /// Those of [`end_of`].
    pub fn end<T: Serialize>(self, value: T, result: &mut Message) -> Outcome {
        end_of(value, result)
    }
}

/// An `Ok` with this value, on the wire.
struct Whole<T>(T);

impl<T: Serialize> Serialize for Whole<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_newtype_variant("Result", 0, "Ok", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::needless_borrow, reason = "as `#[worker]` writes it, for any type")]
    fn an_ok_under_an_alias_is_read_by_its_alias() {
        type Outcome = std::result::Result<Vec<u8>, String>;
        let (value, mut message): (Outcome, _) = (Ok(vec![1, 2]), Message::default());
        (&Ended::of(&value)).how().end(value.clone(), &mut message).unwrap();
        assert_eq!(message.value::<Outcome>(), Ok(value));
    }
}
