//! What a program says of its workers in a custom section of its own.

use procbox_abi::SECTION;

/// The workers' names with their signatures, from the section in which the SDK puts them. Whatever
/// is of another form is passed over.
pub(crate) fn signatures(wasm: &[u8]) -> Vec<(String, String)> {
    custom_sections(wasm, SECTION)
        .into_iter()
        .flat_map(procbox_abi::lines)
        .filter_map(|line| Some((line.name.to_string(), line.signature?.to_string())))
        .collect()
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
