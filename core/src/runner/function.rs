//! Workers as a process runs them: functions from one message to another.

use crate::codec;
use crate::raw::{Handle, Message};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

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
    pub fn arguments<P: DeserializeOwned>(self) -> std::result::Result<P, String> {
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
    result.bytes.clear();
    result.handles = codec::encode(&value, &mut result.bytes).map_err(|e| e.to_string())?;
    Ok(())
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
