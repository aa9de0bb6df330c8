//! `procbox.h` as a C compiler reads it: its names from the preprocessor, their values from a
//! program that prints them, and its functions from their declarations.

use procbox_abi::ValueType;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/include/procbox.h");

/// A structure's size, and its fields: name, offset, size.
pub(crate) type Fields = (usize, Vec<(String, usize, usize)>);
/// A function's parameters, by name and type, and the type of its result.
pub(crate) type Signature = (Vec<(String, ValueType)>, ValueType);

/// The header, in the preprocessor's output.
pub(crate) struct Header {
    /// As a guest's compiler sees it: with imports.
    pub(crate) as_guest: String,
    /// As this machine's compiler sees it.
    here: String,
    /// The macros without parameters that stand for something, and what that is.
    macros: BTreeMap<String, String>,
}

impl Header {
    pub(crate) fn read() -> Header {
        let macros = preprocess(&["-dM"], "");
        let own = |line: &str| {
            let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
            (name.starts_with("PROCBOX_") && !name.contains('(') && !value.trim().is_empty())
                .then(|| (name.to_string(), value.trim().to_string()))
        };
        Header {
            as_guest: preprocess(&["-D__wasm__"], ""),
            here: preprocess(&[], ""),
            macros: macros.lines().filter_map(own).collect(),
        }
    }

    fn is_text(value: &str) -> bool {
        value.starts_with('"')
    }

    /// Every enumerator, and every macro that is a number.
    pub(crate) fn numbers(&self) -> BTreeMap<String, i64> {
        let macros = self.macros.iter().filter(|(_, value)| !Header::is_text(value));
        let mut names: Vec<String> = macros.map(|(name, _)| name.clone()).collect();
        for group in self.here.split("enum ").skip(1) {
            let body = group.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
            let (body, _) = body.unwrap_or_else(|| panic!("no enumerators in {group}"));
            let name = |item: &str| item.split('=').next().unwrap_or_default().trim().to_string();
            names.extend(body.split(',').map(name).filter(|name| name.starts_with("PROCBOX_")));
        }
        let print =
            |name: &String| format!("printf(\"%s %lld\\n\", \"{name}\", (long long)({name}));");
        let said = print_all(names.iter().map(print));
        said.lines()
            .map(|line| {
                let (name, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                (name.to_string(), value.parse().unwrap_or_else(|e| panic!("{line}: {e}")))
            })
            .collect()
    }

    /// Every macro that is a text.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let texts = self.macros.iter().filter(|(_, value)| Header::is_text(value));
        let print =
            |(name, _): (&String, &String)| format!("printf(\"%s %s\\n\", \"{name}\", {name});");
        let said = print_all(texts.map(print));
        said.lines()
            .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{line}")))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    /// Every structure.
    pub(crate) fn layouts(&self) -> BTreeMap<String, Fields> {
        let mut prints = Vec::new();
        for text in self.here.split("typedef struct").skip(1) {
            let (body, rest) = text
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'))
                .unwrap_or_else(|| panic!("no structure in {text}"));
            let name = rest.split(';').next().unwrap_or_default().trim();
            if !name.starts_with("procbox_") {
                continue; // one of the C library's
            }
            prints.push(format!("printf(\"{name} - 0 %zu\\n\", sizeof({name}));"));
            for field in body.split(';').map(str::trim).filter(|field| !field.is_empty()) {
                let field = last_word(field);
                prints.push(format!(
                    "printf(\"{name} {field} %zu %zu\\n\", offsetof({name}, {field}), \
                     sizeof((({name} *)0)->{field}));"
                ));
            }
        }
        let mut layouts = BTreeMap::<String, Fields>::new();
        for line in print_all(prints.into_iter()).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            let layout = layouts.entry(words[0].to_string()).or_default();
            match words[1] {
                "-" => layout.0 = number(3),
                field => layout.1.push((field.to_string(), number(2), number(3))),
            }
        }
        layouts
    }

    /// Every function that is an import of the ABI's module.
    pub(crate) fn functions(&self) -> BTreeMap<String, Signature> {
        let module = format!("__import_module__(\"{}\")", procbox_abi::MODULE);
        let mut functions = BTreeMap::new();
        for text in self.as_guest.split("__attribute__((").skip(1) {
            let declaration = text.split(';').next().unwrap_or_default();
            let (attribute, function) =
                declaration.split_once(")))").unwrap_or_else(|| panic!("{declaration}"));
            assert!(attribute.starts_with(&module), "{attribute}");
            let (head, parameters) =
                function.split_once('(').unwrap_or_else(|| panic!("{function}"));
            let name = last_word(head);
            let name = name.strip_prefix("procbox_").unwrap_or_else(|| panic!("{head}"));
            assert!(attribute.contains(&format!("__import_name__(\"{name}\"")), "{attribute}");
            let parameters = parameters.trim_end().trim_end_matches(')');
            let parameters = parameters.split(',').map(str::trim).filter(|p| *p != "void");
            let types = parameters.map(|p| (last_word(p).to_string(), type_of(p))).collect();
            functions.insert(name.to_string(), (types, type_of(head)));
        }
        // Each name of a function is declared once, and behind an attribute.
        let calls = self.as_guest.matches("int32_t procbox_").count();
        assert_eq!(functions.len(), calls);
        functions
    }
}

/// The identifier that a declaration ends with.
fn last_word(declaration: &str) -> &str {
    let end = declaration.find('[').unwrap_or(declaration.len());
    let declaration = declaration[..end].trim_end();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let start = declaration.trim_end_matches(is_part).len();
    &declaration[start..]
}

/// The type of WebAssembly that a parameter or a result is passed as.
fn type_of(declaration: &str) -> ValueType {
    if declaration.contains(['*', '[']) {
        return ValueType::I32;
    }
    match declaration.split_whitespace().next() {
        Some("int32_t" | "uint32_t") => ValueType::I32,
        Some("int64_t" | "uint64_t") => ValueType::I64,
        _ => panic!("a parameter of an unknown type: {declaration}"),
    }
}

/// What a program prints that executes these statements behind the header.
fn print_all(statements: impl Iterator<Item = String>) -> String {
    let mut program = format!("#include <stdio.h>\n#include <stddef.h>\n#include \"{HEADER}\"\n");
    program.push_str("int main(void) {\n");
    statements.for_each(|statement| {
        let _ = writeln!(program, "    {statement}");
    });
    program.push_str("    return 0;\n}\n");
    let (source, binary) = (scratch("c"), scratch("bin"));
    std::fs::write(&source, program).unwrap();
    let strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o"];
    run(Command::new(compiler()).args(strict).args([&binary, &source]));
    let said = run(&mut Command::new(&binary));
    [source, binary].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    said
}

/// What the preprocessor makes of a text behind the header.
pub(crate) fn preprocess(options: &[&str], text: &str) -> String {
    let source = scratch("c");
    std::fs::write(&source, format!("#include \"{HEADER}\"\n{text}\n")).unwrap();
    let said =
        run(Command::new(compiler()).args(["-std=c99", "-E", "-P"]).args(options).arg(&source));
    std::fs::remove_file(source).unwrap();
    said
}

fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".into())
}

/// A new file's name: the tests run side by side.
fn scratch(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("header-{}-{n}.{extension}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a command and gives its output; a test without a C compiler fails here.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|e| panic!("{command:?}, which this test needs: {e}"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
