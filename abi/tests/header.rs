//! The C header and this crate say the same: every number, text, structure and function of one is
//! in the other. A C compiler reads the header (`cc`, or what `CC` names); these tests need one.

mod c;

use procbox_abi::{IMPORTS, LAYOUTS, NAMES, NUMBERS, ValueType, WORKER_PREFIX};
use std::collections::BTreeMap;

/// Compares what the header says with what the crate says, by name, both ways.
fn same<V: PartialEq + std::fmt::Debug>(
    header: BTreeMap<String, V>,
    ours: impl IntoIterator<Item = (String, V)>,
) {
    let ours: BTreeMap<_, _> = ours.into_iter().collect();
    for (name, value) in &header {
        assert_eq!(ours.get(name), Some(value), "{name} in procbox.h, and in the crate");
    }
    for (name, value) in &ours {
        assert_eq!(header.get(name), Some(value), "{name} in the crate, and in procbox.h");
    }
    assert!(!ours.is_empty());
}

#[test]
fn every_number_is_the_same_in_c() {
    let numbers = NUMBERS.iter().copied().flatten();
    same(c::Header::read().numbers(), numbers.map(|n| (n.name.into(), n.value)));
}

#[test]
fn every_text_is_the_same_in_c() {
    let texts = NAMES.iter().map(|text| (text.name.into(), text.value.into()));
    same(c::Header::read().texts(), texts);
}

#[test]
fn every_structure_has_the_same_layout_in_c() {
    let layouts = LAYOUTS.iter().map(|layout| {
        let fields = layout.fields.iter().map(|f| (f.name.to_string(), f.offset, f.size));
        (layout.name.to_string(), (layout.size, fields.collect()))
    });
    same(c::Header::read().layouts(), layouts);
}

#[test]
fn every_function_has_the_same_name_and_types_in_c() {
    let functions = IMPORTS.iter().map(|import| {
        let types = import.parameters.iter().map(|p| (p.name.to_string(), p.ty));
        (import.name.to_string(), (types.collect(), import.result))
    });
    same::<(Vec<(String, ValueType)>, ValueType)>(c::Header::read().functions(), functions);
}

#[test]
fn functions_stand_in_the_same_order_in_c() {
    let text = c::Header::read().as_guest;
    let place = |name: &str| text.find(&format!("procbox_{name}("));
    for pair in IMPORTS.windows(2) {
        assert!(
            place(pair[0].name) < place(pair[1].name),
            "{} before {}",
            pair[0].name,
            pair[1].name
        );
    }
}

#[test]
fn a_worker_of_c_is_exported_under_the_prefix() {
    let text = c::preprocess(&["-D__wasm__"], "PROCBOX_WORKER(hello) { return mode; }");
    let joined = text.replace("\" \"", "");
    assert!(joined.contains(&format!("__export_name__(\"{WORKER_PREFIX}hello\")")), "{joined}");
    assert!(joined.contains(&format!("int32_t {WORKER_PREFIX}hello(int32_t mode)")), "{joined}");
}
