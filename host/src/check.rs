//! What can be said of a module without compiling it: whether it is too large, wants what nobody
//! grants, or needs more than a process gets. One pass over its head; functions' bodies are skipped.

use crate::component::{imported as imported_by_component, is_component};
use crate::imports::{Imports, UnknownImports};
use crate::limits::SEVERAL;
use procbox_abi::{IMPORTS, MODULE, ValueType};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, FuncType, Import, MemoryType, Parser, Payload, TypeRef,
    ValType,
};

/// Types that a module may declare: real programs have some thousands.
const TYPES: usize = 100_000;
/// Imports likewise, each as often as a linker repeats it.
const IMPORTED: usize = 10_000;
/// Functions: a compiler that is compiled to WebAssembly has a hundred thousand.
const FUNCTIONS: u32 = 1_000_000;
/// Modules and components in a component.
const MODULES: u32 = 1_000;
/// Globals, data segments and element segments, of each kind.
const SEGMENTS: u32 = 100_000;
/// Bytes of a page of memory, unless it says otherwise.
const PAGE: u64 = 64 << 10;

/// What a module has to be within.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    /// Bytes of the module.
    pub(crate) module: usize,
    /// Bytes of its memories at the beginning.
    pub(crate) memory: usize,
    /// Elements of its tables at the beginning.
    pub(crate) table: usize,
}

impl Admission {
    /// Refuses a module that should not be compiled, where this is what it may import besides.
    ///
    /// # Errors
    /// The reason, in one line.
    pub(crate) fn check(&self, module: &[u8], imports: &Imports) -> Result<(), String> {
        if module.len() > self.module {
            return Err(format!(
                "a module of {} bytes, more than the limit of {}",
                module.len(),
                self.module
            ));
        }
        // What the modules of a component import is for the component to give.
        let is_component = is_component(module);
        let (mut modules, mut depth) = (0, 0i32);
        let mut types = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(in_short)? {
                Payload::ComponentImportSection(reader) if depth == 0 => {
                    for import in reader {
                        let name = import.map_err(in_short)?.name;
                        if !imported_by_component(name.name) {
                            let name = printable(name.name);
                            return Err(format!("it imports `{name}`, which is not granted"));
                        }
                    }
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    (modules, depth) = (modules + 1, depth + 1);
                    at_most(modules, MODULES, "modules and components in it")?;
                    types.clear();
                }
                Payload::End(_) => depth -= 1,
                Payload::ImportSection(_) if is_component => {}
                Payload::TypeSection(reader) => {
                    for group in reader {
                        for declared in group.map_err(in_short)?.into_types() {
                            types.push(match declared.composite_type.inner {
                                CompositeInnerType::Func(function) => Some(function),
                                _ => None,
                            });
                            if types.len() > TYPES {
                                return Err(format!("it declares more than {TYPES} types"));
                            }
                        }
                    }
                }
                Payload::ImportSection(reader) => {
                    for (n, import) in reader.into_imports().enumerate() {
                        if n == IMPORTED {
                            return Err(format!("it has more than {IMPORTED} imports"));
                        }
                        imported(&import.map_err(in_short)?, &types, imports)?;
                    }
                }
                Payload::MemorySection(reader) => {
                    at_most(reader.count(), SEVERAL as u32, "memories")?;
                    let mut bytes: u64 = 0;
                    for memory in reader {
                        bytes = bytes.saturating_add(bytes_of(&memory.map_err(in_short)?)?);
                    }
                    self.memory(bytes)?;
                }
                Payload::FunctionSection(reader) => {
                    at_most(reader.count(), FUNCTIONS, "functions")?;
                }
                Payload::GlobalSection(reader) => at_most(reader.count(), SEGMENTS, "globals")?,
                Payload::DataSection(reader) => {
                    at_most(reader.count(), SEGMENTS, "data segments")?;
                }
                Payload::ElementSection(reader) => {
                    at_most(reader.count(), SEGMENTS, "element segments")?;
                }
                Payload::TableSection(reader) => {
                    at_most(reader.count(), SEVERAL as u32, "tables")?;
                    let mut elements: u64 = 0;
                    for table in reader {
                        elements = elements.saturating_add(table.map_err(in_short)?.ty.initial);
                    }
                    self.table(elements)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn memory(&self, bytes: u64) -> Result<(), String> {
        if bytes > self.memory as u64 {
            return Err(format!(
                "its memory has {bytes} bytes from the beginning, more than the limit of {}",
                self.memory
            ));
        }
        Ok(())
    }

    fn table(&self, elements: u64) -> Result<(), String> {
        if elements > self.table as u64 {
            return Err(format!(
                "its tables have {elements} elements from the beginning, more than the limit of {}",
                self.table
            ));
        }
        Ok(())
    }
}

/// The bytes that a memory has at the beginning.
fn bytes_of(memory: &MemoryType) -> Result<u64, String> {
    if memory.shared {
        return Err("it has a shared memory; a process has one thread".into());
    }
    let page = memory.page_size_log2.map_or(PAGE, |log| 1u64.checked_shl(log).unwrap_or(PAGE));
    Ok(memory.initial.saturating_mul(page))
}

fn at_most(count: u32, most: u32, of: &str) -> Result<(), String> {
    if count > most { Err(format!("it has more than {most} {of}")) } else { Ok(()) }
}

/// The parser's message, which may quote the module, in one line of reasonable length.
fn in_short(error: BinaryReaderError) -> String {
    let message = format!("{} (at offset {:#x})", error.message(), error.offset());
    printable(&message)
}

/// A text of the module's as it can be shown.
pub(crate) fn printable(text: &str) -> String {
    const MOST: usize = 200;
    let short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() { short + "..." } else { short }
}

/// Refuses an import that is not one of those that a sandbox links.
fn imported(
    import: &Import<'_>,
    types: &[Option<FuncType>],
    imports: &Imports,
) -> Result<(), String> {
    let (module, name) = (import.module, import.name);
    let called = || format!("{}::{}", printable(module), printable(name));
    let traps = imports.unknown == UnknownImports::Trap;
    let known = known(module, name, imports);
    let (TypeRef::Func(index) | TypeRef::FuncExact(index)) = import.ty else {
        return Err(match known {
            Some(_) => format!("it imports `{}` as something else than a function", called()),
            None => format!("it imports `{}`, which is not granted", called()),
        });
    };
    let declared = types.get(index as usize).and_then(Option::as_ref);
    let is_of_its_type = |letters: &Letters| {
        declared.and_then(Letters::of_declared).is_some_and(|declared| declared == *letters)
    };
    match known {
        _ if traps => Ok(()),
        Some(letters) if is_of_its_type(&letters) => Ok(()),
        Some(_) => Err(format!("it imports `{}` with another type than it has", called())),
        None => Err(format!("it imports `{}`, which is not granted", called())),
    }
}

/// A function's type: a letter for each parameter, `>`, and one for each result. `i` is of 32 bits, `I` of
/// 64, `f` and `F` are floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letters(String);

impl Letters {
    pub(crate) fn new(parameters: &[char], results: &[char]) -> Letters {
        let letters = parameters.iter().chain(&['>']).chain(results);
        Letters(letters.collect())
    }

    /// `None` if it has others than numbers.
    fn of_declared(declared: &FuncType) -> Option<Letters> {
        let letter = |ty: &ValType| match ty {
            ValType::I32 => Some('i'),
            ValType::I64 => Some('I'),
            ValType::F32 => Some('f'),
            ValType::F64 => Some('F'),
            _ => None,
        };
        let of = |types: &[ValType]| types.iter().map(letter).collect::<Option<Vec<char>>>();
        Some(Letters::new(&of(declared.params())?, &of(declared.results())?))
    }
}

/// The type of a function of a compiled module; `None` if it has others than numbers.
pub(crate) fn letters_of_linked(ty: &wasmtime::FuncType) -> Option<Letters> {
    let letter = |ty: wasmtime::ValType| match ty {
        wasmtime::ValType::I32 => Some('i'),
        wasmtime::ValType::I64 => Some('I'),
        wasmtime::ValType::F32 => Some('f'),
        wasmtime::ValType::F64 => Some('F'),
        _ => None,
    };
    let parameters = ty.params().map(letter).collect::<Option<Vec<char>>>()?;
    Some(Letters::new(&parameters, &ty.results().map(letter).collect::<Option<Vec<char>>>()?))
}

/// Whether somebody has this function, with this type.
pub(crate) fn is_granted(module: &str, name: &str, letters: &Letters, imports: &Imports) -> bool {
    known(module, name, imports).is_some_and(|known| known == *letters)
}

/// Whether this is a name that only we give: one of WASI's functions, or any of a module of procbox's.
pub(crate) fn is_ours(module: &str, name: &str) -> bool {
    module.starts_with(OURS) || known(module, name, &Imports::default()).is_some()
}

/// What the names of our own modules of imports begin with, in every version.
const OURS: &str = "procbox_";

/// The type of a function, if somebody has it.
fn known(module: &str, name: &str, imports: &Imports) -> Option<Letters> {
    if module == MODULE {
        let import = IMPORTS.iter().find(|import| import.name == name)?;
        let letter = |ty: ValueType| match ty {
            ValueType::I32 => 'i',
            ValueType::I64 => 'I',
        };
        let parameters: Vec<char> = import.parameters.iter().map(|p| letter(p.ty)).collect();
        return Some(Letters::new(&parameters, &[letter(import.result)]));
    }
    let found = WASI_IMPORTS.iter().find(|(wasi, _)| module == WASI && *wasi == name);
    match found {
        Some((_, letters)) => Some(Letters((*letters).to_string())),
        None => imports.letters_of(module, name).cloned(),
    }
}

/// The module name of WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";

/// The functions of WASI preview 1. A test holds the table to what is linked.
const WASI_IMPORTS: &[(&str, &str)] = &[
    ("args_get", "ii>i"),
    ("args_sizes_get", "ii>i"),
    ("clock_res_get", "ii>i"),
    ("clock_time_get", "iIi>i"),
    ("environ_get", "ii>i"),
    ("environ_sizes_get", "ii>i"),
    ("fd_advise", "iIIi>i"),
    ("fd_allocate", "iII>i"),
    ("fd_close", "i>i"),
    ("fd_datasync", "i>i"),
    ("fd_fdstat_get", "ii>i"),
    ("fd_fdstat_set_flags", "ii>i"),
    ("fd_fdstat_set_rights", "iII>i"),
    ("fd_filestat_get", "ii>i"),
    ("fd_filestat_set_size", "iI>i"),
    ("fd_filestat_set_times", "iIIi>i"),
    ("fd_pread", "iiiIi>i"),
    ("fd_prestat_dir_name", "iii>i"),
    ("fd_prestat_get", "ii>i"),
    ("fd_pwrite", "iiiIi>i"),
    ("fd_read", "iiii>i"),
    ("fd_readdir", "iiiIi>i"),
    ("fd_renumber", "ii>i"),
    ("fd_seek", "iIii>i"),
    ("fd_sync", "i>i"),
    ("fd_tell", "ii>i"),
    ("fd_write", "iiii>i"),
    ("path_create_directory", "iii>i"),
    ("path_filestat_get", "iiiii>i"),
    ("path_filestat_set_times", "iiiiIIi>i"),
    ("path_link", "iiiiiii>i"),
    ("path_open", "iiiiiIIii>i"),
    ("path_readlink", "iiiiii>i"),
    ("path_remove_directory", "iii>i"),
    ("path_rename", "iiiiii>i"),
    ("path_symlink", "iiiii>i"),
    ("path_unlink_file", "iii>i"),
    ("poll_oneoff", "iiii>i"),
    ("proc_exit", "i>"),
    ("proc_raise", "i>i"),
    ("random_get", "ii>i"),
    ("sched_yield", ">i"),
    ("sock_accept", "iii>i"),
    ("sock_recv", "iiiiii>i"),
    ("sock_send", "iiiii>i"),
    ("sock_shutdown", "ii>i"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    const ADMISSION: Admission = Admission { module: 1 << 20, memory: 1 << 20, table: 100 };

    fn check(text: &str) -> Result<(), String> {
        let module = wat::parse_str(format!("(module {text})")).unwrap();
        ADMISSION.check(&module, &Imports::default())
    }

    fn words(letters: &str) -> String {
        letters.bytes().map(|l| if l == b'I' { " i64" } else { " i32" }).collect()
    }

    #[test]
    fn every_function_of_the_table_is_linked_with_this_type() {
        let engine = wasmtime::Engine::default();
        let linker = engine::linker(&engine).unwrap();
        for (name, letters) in WASI_IMPORTS {
            let (parameters, result) = letters.split_once('>').unwrap_or((letters, ""));
            let (parameters, result) = (words(parameters), words(result));
            let text = format!(
                r#"(import "{WASI}" "{name}" (func (param{parameters}) (result{result})))"#
            );
            assert_eq!(check(&text), Ok(()));
            let wasm = wat::parse_str(format!("(module {text})")).unwrap();
            let module = wasmtime::Module::new(&engine, wasm).unwrap();
            let linked = linker.instantiate_pre(&module);
            assert!(linked.is_ok(), "{name}: {:?}", linked.err());
        }
    }

    #[test]
    fn what_is_not_granted_is_refused_by_name() {
        for (text, why) in [
            (r#"(import "env" "system" (func))"#, "`env::system`, which is not granted"),
            (r#"(import "procbox_2" "lock_new" (func (result i32)))"#, "`procbox_2::lock_new`"),
            (r#"(import "procbox_1" "lock_new" (func))"#, "with another type"),
            (r#"(import "env" "memory" (memory 1))"#, "`env::memory`, which is not granted"),
            (r#"(import "procbox_1" "lock_new" (memory 1))"#, "something else than a function"),
            (r#"(import "a\1b[2J" "b\n" (func))"#, r"a\u{1b}[2J::b\n"),
            ("(memory 17)", "more than the limit of 1048576"),
            ("(memory 8) (memory i64 9)", "1114112 bytes from the beginning, more than the limit"),
            ("(memory i64 0x1000000000000)", "more than the limit of 1048576"),
            ("(memory 1 1 shared)", "shared memory"),
            ("(table 101 funcref)", "more than the limit of 100"),
            ("(table 50 funcref) (table 51 funcref)", "101 elements from the beginning"),
        ] {
            let refused = check(text).unwrap_err();
            assert!(refused.contains(why) && refused.lines().count() == 1, "{text}: {refused}");
        }
    }

    #[test]
    fn what_nobody_has_is_let_through_where_it_traps() {
        let imports = Imports::default().with_unknown(UnknownImports::Trap);
        let check = |text: &str| {
            ADMISSION.check(&wat::parse_str(format!("(module {text})")).unwrap(), &imports)
        };
        for text in [
            r#"(import "env" "system" (func (param externref) (result v128)))"#,
            r#"(import "procbox_1" "lock_new" (func))"#,
            r#"(import "wasi_snapshot_preview1" "fd_read" (func))"#,
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [r#"(import "env" "m" (memory 1))"#, r#"(import "env" "g" (global i32))"#] {
            assert!(check(text).unwrap_err().contains("not granted"), "{text}");
        }
    }

    #[test]
    fn numbers_of_things_are_bounded() {
        let globals = "(global i32 (i32.const 0))".repeat(SEGMENTS as usize + 1);
        assert_eq!(check(&globals).unwrap_err(), "it has more than 100000 globals");
        let memories = "(memory 0)".repeat(SEVERAL + 1);
        assert_eq!(check(&memories).unwrap_err(), "it has more than 8 memories");
        let tables = "(table 0 funcref)".repeat(SEVERAL + 1);
        assert_eq!(check(&tables).unwrap_err(), "it has more than 8 tables");
        let types = (0..=TYPES).map(|_| "(type (func))").collect::<String>();
        assert_eq!(check(&types).unwrap_err(), "it declares more than 100000 types");
    }

    #[test]
    fn a_module_over_the_limit_is_not_looked_at() {
        let why = ADMISSION.check(&vec![0; (1 << 20) + 1], &Imports::default()).unwrap_err();
        assert_eq!(why, "a module of 1048577 bytes, more than the limit of 1048576");
    }

    #[test]
    fn names_without_an_end_are_cut() {
        let text = format!(r#"(import "{}" "x" (func))"#, "n".repeat(100_000));
        assert!(check(&text).unwrap_err().len() < 500);
    }
}
