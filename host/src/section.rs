//! What a program says of its workers in a custom section of its own.

use procbox_abi::SECTION;
use std::collections::HashMap;

/// The signatures of these workers, from the section in which the SDK puts them. What is said twice
/// counts as it is said first; whatever is of another form is passed over.
pub(crate) fn signatures<'a>(
    wasm: &'a [u8],
    workers: impl Iterator<Item = &'a str>,
) -> HashMap<&'a str, Option<&'a str>> {
    let mut signatures: HashMap<&str, Option<&str>> = workers.map(|name| (name, None)).collect();
    for line in custom_sections(wasm, SECTION).into_iter().flat_map(procbox_abi::lines) {
        if let Some(signature) = signatures.get_mut(line.name) {
            *signature = signature.or(line.signature);
        }
    }
    signatures
}

/// The contents of the custom sections of this name. The module is known to be valid.
fn custom_sections<'a>(wasm: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut rest = wasm.get(8..).unwrap_or_default();
    while let Some((&id, after)) = rest.split_first() {
        let Some((size, after)) = leb128(after) else { break };
        let Some((body, after)) = after.split_at_checked(size) else { break };
        if id == 0
            && let Some((len, body)) = leb128(body)
            && let Some((own, content)) = body.split_at_checked(len)
            && own == name.as_bytes()
        {
            found.push(content);
        }
        rest = after;
    }
    found
}

/// True if there is a custom section of this name.
pub(crate) fn has_section(wasm: &[u8], name: &str) -> bool {
    !custom_sections(wasm, name).is_empty()
}

/// An unsigned LEB128 number of at most 32 bits, as WebAssembly encodes sizes.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A custom section of ours with this text.
    fn section(text: &str) -> Vec<u8> {
        let mut body = vec![SECTION.len() as u8];
        body.extend(SECTION.as_bytes());
        body.extend(text.as_bytes());
        let mut section = vec![0];
        let mut size = body.len();
        while size > 0x7f {
            section.push(size as u8 | 0x80);
            size >>= 7;
        }
        section.push(size as u8);
        section.extend(body);
        section
    }

    #[test]
    fn what_is_said_first_of_a_worker_counts_and_what_is_said_of_others_does_not() {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend(section("a\ta(n: u8)\nb\nother\tother()\n"));
        wasm.extend(section("a\ta(again)\nb\tb()\n"));
        let found = signatures(&wasm, ["a", "b", "c"].into_iter());
        assert_eq!(found["a"], Some("a(n: u8)"));
        assert_eq!(found["b"], Some("b()"));
        assert_eq!(found["c"], None);
        assert_eq!(found.len(), 3);
    }

    /// As many as a program of 20 MB has room for; with a look at each line for each worker it would
    /// take hours.
    #[test]
    fn half_a_million_workers_and_lines_are_read_once() {
        let names: Vec<String> = (0..500_000).map(|n| format!("w{n}")).collect();
        let lines: Vec<String> = names.iter().rev().map(|n| format!("{n}\t{n}()\n")).collect();
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend(section(&lines.concat()));
        let found = signatures(&wasm, names.iter().map(String::as_str));
        assert!(names.iter().all(|name| found[name.as_str()] == Some(&format!("{name}()"))));
    }
}
