//! Values of plain data that processes share, and lists of them.
//!
//! A [`Value`] is kept twice, behind a number whose parity says which of the two is in force. Who writes
//! it, with its lock, writes the other one and then the number. So it is never half of one and half of
//! another, whoever is killed and when, and who reads it needs no lock.

use crate::raw::Acquired;
use crate::{Error, Lock, LockGuard, Result, SharedBytes};
use bytemuck::{AnyBitPattern, NoUninit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Data that is its bytes: numbers, arrays of them, and structs that `bytemuck` derives it for.
///
/// ```
/// fn shares<T: procbox_core::primitives::Plain>() {}
/// shares::<[f64; 3]>();
/// ```
pub trait Plain: NoUninit + AnyBitPattern {}
impl<T: NoUninit + AnyBitPattern> Plain for T {}

/// So often a value is read without its lock, if it changes meanwhile.
const TRIES: usize = 64;

/// The offset of the first of the two, behind the number.
const FIRST: usize = size_of::<u64>();

/// From one of the two to the other: whole words, so that they have none in common.
const fn stride<T>() -> usize {
    size_of::<T>().next_multiple_of(size_of::<u64>())
}

/// How many bytes a value takes.
pub(crate) const fn room<T>() -> usize {
    FIRST + 2 * stride::<T>()
}

/// A value that processes share.
///
/// Reading it takes no lock, and gives what somebody wrote, never half of it. Changing it takes the
/// value's lock: [`Value::update`] reads, changes and writes while nobody else does. A process that dies
/// with it leaves the value that was there before, or the new one.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let counter = ctx.value(0u64)?;
/// counter.update(|n| *n += 1)?;
/// assert_eq!(counter.get()?, 1);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Value<T> {
    bytes: SharedBytes,
    lock: Lock,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Value<T> {
    pub(crate) fn new(bytes: SharedBytes, lock: Lock, value: T) -> Result<Value<T>> {
        let new = Value { bytes, lock, of: PhantomData };
        new.put(0, &value)?;
        Ok(new)
    }

    /// The value of a version, unless it is being written over.
    fn at(&self, version: u64) -> Result<T> {
        let mut value = T::zeroed();
        let half = (version % 2) as usize;
        self.bytes.read(FIRST + half * stride::<T>(), as_bytes_mut(&mut value))?;
        Ok(value)
    }

    /// Writes the value of the next version, for who has the lock.
    fn put(&self, version: u64, value: &T) -> Result<()> {
        let next = version.wrapping_add(1);
        let half = (next % 2) as usize;
        self.bytes.write(FIRST + half * stride::<T>(), bytemuck::bytes_of(value))?;
        self.bytes.store(0, next).map(drop)
    }

    /// The value as it is now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let place = ctx.value([1.0f64, 2.0])?;
    /// assert_eq!(place.get()?, [1.0, 2.0]);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None, unless the region is not what it says, or those of [`Lock::lock`], which is taken if the value
    /// changes all the time.
    pub fn get(&self) -> Result<T> {
        let mut version = self.bytes.load(0)?;
        for _ in 0..TRIES {
            let value = self.at(version)?;
            // The next one is written beside it, and only the one after that over it.
            let now = self.bytes.load(0)?;
            if now == version {
                return Ok(value);
            }
            version = now;
        }
        // It is changed all the time, or by one who means ill: the lock keeps those away who take it.
        let _guard = self.lock.lock()?;
        self.at(self.bytes.load(0)?)
    }

    /// Writes another value, with the lock.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let place = ctx.value(1.5f32)?;
    /// place.set(&2.5)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn set(&self, value: &T) -> Result<()> {
        let _guard = self.lock.lock()?;
        let version = self.bytes.load(0)?;
        self.put(version, value)
    }

    /// Changes the value, with the lock.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let counter = ctx.value(0u32)?;
    /// let before = counter.update(|n| std::mem::replace(n, *n + 1))?;
    /// assert_eq!((before, counter.get()?), (0, 1));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.update_told(|value, _| change(value))
    }

    /// Like [`Value::update`], and says whether one has died with the lock: the value is whole, but may not
    /// be what that one meant it to be.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let counter = ctx.value(0u32)?;
    /// counter.update_told(|n, acquired| *n = if acquired.owner_died { 0 } else { *n + 1 })?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn update_told<R>(&self, change: impl FnOnce(&mut T, Acquired) -> R) -> Result<R> {
        let guard = self.lock.lock()?;
        let version = self.bytes.load(0)?;
        let mut value = self.at(version)?;
        let answer = change(&mut value, Acquired::new(guard.owner_died()));
        self.put(version, &value)?;
        Ok(answer)
    }
}

/// A list of a fixed length, of values that processes share.
///
/// Getting and setting take no lock: who reads an element while another writes it may see half of each,
/// unless it has 8 bytes or fewer and is aligned. [`Array::lock`] keeps others away who take it too.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let sums = ctx.array(&[0i64; 16])?;
/// let guard = sums.lock()?;
/// sums.set(3, &(sums.get(3)? + 1))?;
/// drop(guard);
/// assert_eq!(sums.to_vec()?[3], 1);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Array<T> {
    bytes: SharedBytes,
    lock: Lock,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Array<T> {
    pub(crate) fn new(bytes: SharedBytes, lock: Lock, values: &[T]) -> Result<Array<T>> {
        bytes.write(0, bytemuck::cast_slice(values))?;
        Ok(Array { bytes, lock, of: PhantomData })
    }

    /// The number of elements.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.array(&[0u8; 3])?.len(), 3);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    #[allow(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.bytes.len() / size_of::<T>().max(1)
    }

    /// The offset of an element behind which there are as many.
    fn offset(&self, index: usize, n: usize) -> Result<usize> {
        match index.checked_add(n) {
            Some(end) if end <= self.len() => Ok(index * size_of::<T>()),
            _ => Err(Error::Invalid(format!(
                "{n} elements from number {index} on are not in an array of {}",
                self.len()
            ))),
        }
    }

    /// An element.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let those = ctx.array(&[1u16, 2, 3])?;
    /// assert_eq!(those.get(1)?, 2);
    /// assert!(those.get(3).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none of this number.
    pub fn get(&self, index: usize) -> Result<T> {
        let mut value = T::zeroed();
        self.bytes.read(self.offset(index, 1)?, as_bytes_mut(&mut value))?;
        Ok(value)
    }

    /// Writes an element.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// ctx.array(&[1u16, 2, 3])?.set(0, &7)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none of this number.
    pub fn set(&self, index: usize, value: &T) -> Result<()> {
        self.write(index, std::slice::from_ref(value))
    }

    /// Writes elements, from a number on.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let those = ctx.array(&[0u16; 8])?;
    /// those.write(2, &[5, 6, 7])?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not so many.
    pub fn write(&self, index: usize, values: &[T]) -> Result<()> {
        self.bytes.write(self.offset(index, values.len())?, bytemuck::cast_slice(values))
    }

    /// So many elements, from a number on.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.array(&[1u16, 2, 3])?.read(1, 2)?, [2, 3]);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not so many.
    pub fn read(&self, index: usize, n: usize) -> Result<Vec<T>> {
        let at = self.offset(index, n)?;
        let mut bytes = vec![0; n * size_of::<T>()];
        self.bytes.read(at, &mut bytes)?;
        Ok(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
    }

    /// All elements.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.array(&[1u16, 2, 3])?.to_vec()?, [1, 2, 3]);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Array::read`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.read(0, self.len())
    }

    /// Waits for the array's lock, for several steps of which others who take it see none alone.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let those = ctx.array(&[1u16, 2])?;
    /// let guard = those.lock()?;
    /// let (a, b) = (those.get(0)?, those.get(1)?);
    /// those.write(0, &[b, a])?;
    /// drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock.lock()
    }

    /// The bytes of the elements.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.array(&[1u16, 2])?.bytes().len(), 4);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn bytes(&self) -> &SharedBytes {
        &self.bytes
    }
}

/// The bytes of plain data, to be written over: any are a `T`.
fn as_bytes_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    bytemuck::bytes_of_mut(value)
}

/// Makes what has a region and a lock clone and travel.
macro_rules! shared {
    ($type:ident, $name:literal) => {
        impl<T> Clone for $type<T> {
            fn clone(&self) -> $type<T> {
                $type { bytes: self.bytes.clone(), lock: self.lock.clone(), of: PhantomData }
            }
        }

        impl<T> fmt::Debug for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}<{}>", $name, std::any::type_name::<T>())
            }
        }

        impl<T> Serialize for $type<T> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                (size_of::<T>() as u64, &self.bytes, &self.lock).serialize(s)
            }
        }

        impl<'de, T> Deserialize<'de> for $type<T> {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$type<T>, D::Error> {
                let (size, bytes, lock) = <(u64, SharedBytes, Lock)>::deserialize(d)?;
                if size != size_of::<T>() as u64 {
                    let due = size_of::<T>();
                    let why = format!("its values have {size} bytes, those here {due}");
                    return Err(serde::de::Error::custom(why));
                }
                Ok($type { bytes, lock, of: PhantomData })
            }
        }
    };
}

shared!(Value, "Value");
shared!(Array, "Array");
