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

    #[test]
    fn every_interface_of_the_lists_is_linked_and_no_other() {
        let engine = Engine::default();
        let mut linker = Linker::<State>::new(&engine);
        component::link(&mut linker).unwrap();
        p2::link(&mut linker).unwrap();
        let is_linked = |name: &str| {
            let text = format!(r#"(component (import "{name}" (instance)))"#);
            let program = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            linker.instantiate_pre(&program).is_ok()
        };
        let own = component::INTERFACES.iter().map(|i| format!("{}{i}@1.0.0", component::PACKAGE));
        let wasi = p2::INTERFACES.iter().map(|i| format!("wasi:{i}@0.2.0"));
        for name in own.chain(wasi) {
            assert!(imported(&name) && is_linked(&name), "{name}");
        }
        assert!(!is_linked("wasi:http/types@0.2.0"));
        for name in ["wasi:http/types@0.2.0", "wasi:cli/environment@0.3.0", "a:b/c@1.0.0", "run"] {
            assert!(!imported(name), "{name}");
        }
    }
}
