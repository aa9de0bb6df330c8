//! Which exports of a program come after its `_initialize`.
//!
//! A WASI reactor exports `_initialize`, which runs its constructors and is to be called before any other
//! export, once. Linkers also make exports that run the constructors themselves: `_start` does, and so
//! does each export of a module that is linked as a command. Before such a one `_initialize` is not
//! called: they would run twice. It is told by what it calls: `_initialize` itself, or a function of
//! nothing that `_initialize` calls too, which is where linkers put constructors.

use std::collections::HashSet;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FunctionBody, Operator, Parser, Payload,
    TypeRef,
};

/// What a WASI reactor exports, to be called before all else.
pub(crate) const INITIALIZE: &str = "_initialize";

/// The exports of a module before which its `_initialize` is not called.
#[derive(Debug, Default)]
pub(crate) struct OwnConstructors(HashSet<String>);

impl OwnConstructors {
    /// Those of a module. One that cannot be read has none: it is not compiled either.
    pub(crate) fn of(module: &[u8]) -> OwnConstructors {
        OwnConstructors(read(module).unwrap_or_default())
    }

    pub(crate) fn has(&self, export: &str) -> bool {
        self.0.contains(export)
    }
}

/// The head of a module as far as it matters here.
#[derive(Default)]
struct Head<'a> {
    /// For each type, whether it is that of a function of nothing.
    plain: Vec<bool>,
    /// The types of the functions, of imported ones first.
    functions: Vec<u32>,
    imported: usize,
    exports: Vec<(&'a str, u32)>,
    bodies: Vec<FunctionBody<'a>>,
}

impl Head<'_> {
    fn is_plain(&self, function: u32) -> bool {
        let ty = self.functions.get(function as usize);
        ty.and_then(|ty| self.plain.get(*ty as usize)).is_some_and(|plain| *plain)
    }

    /// The functions of nothing that a function calls directly.
    fn called(&self, function: u32) -> Result<HashSet<u32>, BinaryReaderError> {
        let mut called = HashSet::new();
        let body = (function as usize).checked_sub(self.imported);
        if let Some(body) = body.and_then(|at| self.bodies.get(at)) {
            for operator in body.get_operators_reader()? {
                match operator? {
                    Operator::Call { function_index: at } if self.is_plain(at) => {
                        called.insert(at);
                    }
                    _ => {}
                }
            }
        }
        Ok(called)
    }
}

fn read(module: &[u8]) -> Result<HashSet<String>, BinaryReaderError> {
    let mut head = Head::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(reader) => {
                for group in reader {
                    head.plain.extend(group?.into_types().map(|ty| {
                        matches!(&ty.composite_type.inner, CompositeInnerType::Func(f)
                            if f.params().len() + f.results().len() == 0)
                    }));
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                        head.functions.push(ty);
                    }
                }
                head.imported = head.functions.len();
            }
            Payload::FunctionSection(reader) => {
                for ty in reader {
                    head.functions.push(ty?);
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        head.exports.push((export.name, export.index));
                    }
                }
                // Most programs have none: their code is not looked at.
                if head.exports.iter().all(|(name, _)| *name != INITIALIZE) {
                    return Ok(HashSet::new());
                }
            }
            Payload::CodeSectionEntry(body) => head.bodies.push(body),
            _ => {}
        }
    }
    let Some((_, initialize)) = head.exports.iter().find(|(name, _)| *name == INITIALIZE) else {
        return Ok(HashSet::new());
    };
    let mut constructors = head.called(*initialize)?;
    constructors.insert(*initialize);
    let mut own = HashSet::new();
    for (name, at) in &head.exports {
        if *name != INITIALIZE && !head.called(*at)?.is_disjoint(&constructors) {
            own.insert((*name).to_string());
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> Vec<String> {
        let module = wat::parse_str(format!("(module {text})")).unwrap();
        let mut own: Vec<String> = OwnConstructors::of(&module).0.into_iter().collect();
        own.sort();
        own
    }

    const REACTOR: &str = r#"
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func $constructors)
        (func $aligned (param i32))
        (func (export "_initialize") i32.const 0 call $aligned call $constructors)"#;

    #[test]
    fn who_runs_the_constructors_is_known_by_its_calls() {
        let text = format!(
            r#"{REACTOR}
            (func (export "_start") call $constructors i32.const 1 call $exit)
            (func (export "plain") i32.const 0 call $aligned)
            (func (export "empty"))"#
        );
        assert_eq!(own(&text), ["_start"]);
        let calls_it = r#"(func $i (export "_initialize")) (func (export "_start") call $i)"#;
        assert_eq!(own(calls_it), ["_start"]);
    }

    #[test]
    fn a_program_without_initialize_has_none() {
        assert!(own("(func $c) (func (export \"_start\") call $c)").is_empty());
        assert!(OwnConstructors::of(b"\0asm\x01\0\0\0\x07\x05").0.is_empty());
    }
}
