//! What can be said of a component without compiling it.

use crate::guest::component;
use crate::wasi::p2;

/// The version of a component's encoding, behind the magic number; that of a core module is 1.
const ENCODING: [u8; 4] = [0x0d, 0, 1, 0];

/// Whether a WebAssembly file is a component.
pub(crate) fn is_component(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(&ENCODING[..])
}

/// Whether an interface is linked that a component imports by this name.
pub(crate) fn imported(name: &str) -> bool {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if let Some(own) = interface.strip_prefix(component::PACKAGE) {
        return component::INTERFACES.contains(&own) && version.starts_with("1.");
    }
    let of_wasi = interface.strip_prefix("wasi:");
    of_wasi.is_some_and(|own| p2::INTERFACES.contains(&own)) && version.starts_with("0.2.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use wasmtime::Engine;
    use wasmtime::component::{Component, Linker};

    /// Some that have functions of simple types; those of the rest take resources.
    const SIMPLE: &[(&str, &str)] = &[
        ("wasi:cli/environment@0.2.0", r#""get-arguments" (func (result (list string)))"#),
        ("wasi:cli/exit@0.2.9", r#""exit" (func (param "status" (result)))"#),
        ("wasi:clocks/monotonic-clock@0.2.0", r#""now" (func (result u64))"#),
        ("wasi:random/insecure@0.2.0", r#""get-insecure-random-u64" (func (result u64))"#),
        ("wasi:random/insecure-seed@0.2.0", r#""insecure-seed" (func (result (tuple u64 u64)))"#),
        ("wasi:random/random@0.2.0", r#""get-random-u64" (func (result u64))"#),
        ("procbox:worker/primitives@1.0.0", r#""pid" (func (result u32))"#),
    ];

    #[test]
    fn what_is_said_to_be_linked_is() {
        let engine = Engine::default();
        let mut linker = Linker::<State>::new(&engine);
        component::link(&mut linker).unwrap();
        p2::link(&mut linker).unwrap();
        let is_linked = |name: &str, function: &str| {
            let text = format!(r#"(component (import "{name}" (instance (export {function}))))"#);
            let program = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            linker.instantiate_pre(&program).is_ok()
        };
        for (name, function) in SIMPLE {
            assert!(imported(name) && is_linked(name, function), "{name}");
            let other = function.replacen('"', "\"no-", 1);
            assert!(!is_linked(name, &other), "{name}: {other}");
        }
    }

    #[test]
    fn what_is_not_linked_is_said_not_to_be() {
        for name in [
            "wasi:http/types@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "procbox:worker/primitives@2.0.0",
            "procbox:worker/other@1.0.0",
            "a:b/c@1.0.0",
            "run",
        ] {
            assert!(!imported(name), "{name}");
        }
    }
}
