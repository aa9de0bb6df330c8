//! The code of single functions, as one compilation leaves it for another: an image has the functions
//! of the program that it was made of, and only its data is new.
//!
//! Whoever compiles with them has both the functions and the module from us, so what they hold is as
//! trustworthy as any compiled module. The keys are Cranelift's: hashes of a function and of all that
//! decides how it is compiled.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use wasmtime::CacheStore;

/// Bytes of functions for any module, however small.
const BASE: usize = 16 << 20;
/// Bytes of them on top for each byte of the module; most need less.
const PER_BYTE: usize = 4;

/// Takes down what is compiled, as far as there is room.
#[derive(Debug)]
pub(super) struct Seen {
    functions: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    most: usize,
}

impl Seen {
    pub(super) fn new(module: usize) -> Seen {
        Seen {
            functions: Mutex::default(),
            most: BASE.saturating_add(PER_BYTE.saturating_mul(module)),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        for (key, code) in &*functions {
            let more = 2 * size_of::<u32>() + key.len() + code.len();
            if bytes.len() + more > self.most {
                break;
            }
            for part in [key, code] {
                bytes.extend((part.len() as u32).to_le_bytes());
                bytes.extend(part);
            }
        }
        bytes
    }
}

impl CacheStore for Seen {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.insert(key.to_vec(), code);
        true
    }
}

/// Gives what was taken down.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// Where each key's code is.
    places: HashMap<Vec<u8>, Range<usize>>,
}

impl Kept {
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Kept {
        let mut places = HashMap::new();
        let mut at = 0;
        let part = |at: &mut usize| {
            let (length, _) = bytes.get(*at..)?.split_first_chunk()?;
            let from = *at + size_of::<u32>();
            *at = from.checked_add(u32::from_le_bytes(*length) as usize)?;
            (*at <= bytes.len()).then_some(from..*at)
        };
        while let Some(key) = part(&mut at)
            && let Some(code) = part(&mut at)
        {
            places.insert(bytes[key].to_vec(), code);
        }
        Kept { bytes, places }
    }
}

impl CacheStore for Kept {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.places.get(key).map(|place| Cow::Borrowed(&self.bytes[place.clone()]))
    }

    /// What is new of an image is compiled for it alone.
    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wasmtime::Engine;

    /// Counts what was there and what was not.
    #[derive(Debug)]
    struct Counting(Kept, AtomicUsize, AtomicUsize);

    impl CacheStore for Counting {
        fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
            let found = self.0.get(key);
            let count = if found.is_some() { &self.1 } else { &self.2 };
            count.fetch_add(1, Ordering::Relaxed);
            found
        }

        fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
            self.0.insert(key, code)
        }
    }

    #[test]
    fn a_function_is_not_compiled_again_where_only_data_has_changed() {
        let compile = |store: Arc<dyn CacheStore>, n: u32| {
            let settings = Settings { fuel: false, simulated: false, reservation: 4 << 30 };
            let mut config = settings.config();
            config.enable_incremental_compilation(store).unwrap();
            let module = format!(
                r#"(module (memory (export "memory") {n}) (global $g (mut i32) (i32.const {n}))
                (data (i32.const {n}) "{n}") (func (export "f") (result i32) (global.get $g))
                (func (export "g") (result i32) (i32.load (i32.const {n}))))"#
            );
            let module = wat::parse_str(module).unwrap();
            Engine::new(&config).unwrap().precompile_module(&module).unwrap()
        };
        let seen = Arc::new(Seen::new(1 << 20));
        compile(seen.clone(), 1);
        let kept = Kept::from_bytes(seen.to_bytes());
        let counting = Arc::new(Counting(kept, AtomicUsize::new(0), AtomicUsize::new(0)));
        let with = compile(counting.clone(), 2);
        // `g` is another; `f` and what calls either of them are not.
        let counts = [&counting.1, &counting.2].map(|count| count.load(Ordering::Relaxed));
        assert!(counts[0] > 0 && counts[1] == 1, "{counts:?}");
        assert_eq!(with, compile(Arc::new(Kept::from_bytes(Vec::new())), 2));
    }

    #[test]
    fn what_was_seen_is_kept_as_far_as_there_is_room() {
        let seen = Seen { functions: Mutex::default(), most: 100 };
        for key in 0..10u8 {
            assert!(seen.insert(&[key], vec![key; 20]) && seen.get(&[key]).is_none());
        }
        let bytes = seen.to_bytes();
        assert!(bytes.len() <= 100, "{}", bytes.len());
        let kept = Kept::from_bytes(bytes.clone());
        assert_eq!(kept.places.len(), 3);
        for key in kept.places.keys() {
            assert_eq!(kept.get(key).as_deref(), Some(&[key[0]; 20][..]));
        }
        // Torn anywhere it has those before.
        for end in 0..bytes.len() {
            assert!(Kept::from_bytes(bytes[..end].to_vec()).places.len() < 3);
        }
    }
}
