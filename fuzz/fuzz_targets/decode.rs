//! Messages of untrusted processes: whatever the bytes, decoding ends, and what it gives is encoded to
//! the same value again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox_core::codec::decode;
use procbox_core::raw::Message;
use procbox_core::Bytes;

type Value = (Option<u64>, String, Vec<(i32, Bytes)>, Result<bool, char>);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = decode::<Value>(bytes, &[]) {
        let again = Message::of(&value).and_then(|message| message.value::<Value>());
        assert_eq!(again, Ok(value));
    }
});
