//! Each small program prints what it says that it prints: natively and, if it can be there, in the
//! sandbox. And what the pages of the documentation show is a piece of one of them.

use procbox::sandbox::{Grants, Program};
use procbox::{Output, Sandbox};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs, and whether they embed others.
const PROGRAMS: [(&str, bool); 22] = [
    ("async_program", true),
    ("async_worker", false),
    ("both_backends", true),
    ("capture", true),
    ("embed", true),
    ("embed_native", true),
    ("event", false),
    ("exit_codes", false),
    ("first", false),
    ("grade", false),
    ("grants", true),
    ("handles", false),
    ("lock", false),
    ("map", false),
    ("pipe", false),
    ("pools", true),
    ("semaphore", false),
    ("structs", false),
    ("task_errors", false),
    ("timeouts", false),
    ("untrusted", true),
    ("worker_deaths", false),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn source(name: &str) -> String {
    read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/bin/{name}.rs")))
}

/// What it says that it prints.
fn due(name: &str) -> String {
    let source = source(name);
    let lines = source.lines().filter_map(|line| line.strip_prefix("// prints "));
    let lines: Vec<_> = lines.collect();
    assert!(!lines.is_empty(), "{name} does not say what it prints");
    lines.join("\n") + "\n"
}

/// A program as it was built: natively beside this test, or for the sandbox.
fn built(name: &str) -> PathBuf {
    let release = Path::new(env!("CARGO_BIN_EXE_first")).parent().unwrap();
    let target = release.parent().unwrap();
    let candidates = match name.ends_with(".wasm") {
        true => ["programs", "wasm32-wasip1/release"].map(|dir| target.join(dir).join(name)),
        false => [release.join(name), target.join("programs").join(name)],
    };
    let newest =
        candidates.iter().filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)));
    let found = newest.max().unwrap_or_else(|| panic!("there is no {name}: run `make programs`"));
    found.1.clone()
}

/// A folder in which the programs find those that they embed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, of) in [
        ("workers.wasm", "first.wasm"),
        ("workers", "first"),
        ("map.wasm", "map.wasm"),
        ("map", "map"),
        ("primes.wasm", "primes.wasm"),
        ("plain.wasm", "plain.wasm"),
        ("untrusted.wasm", "grade.wasm"),
        ("async_worker.wasm", "async_worker.wasm"),
    ] {
        std::os::unix::fs::symlink(built(of), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("text"), "first line\nsecond line\n").unwrap();
    folder
}

#[test]
fn each_program_prints_natively_what_it_says() {
    let folder = folder();
    for (name, _) in PROGRAMS {
        let output = Command::new(built(name)).current_dir(folder.path()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed, due(name), "{name}: {output:?}");
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn each_program_that_embeds_none_prints_the_same_in_the_sandbox() -> procbox::Result<()> {
    let sandbox = Sandbox::builder().build()?;
    for (name, _) in PROGRAMS.iter().filter(|(_, embeds)| !embeds) {
        let program = Program::wasm(built(&format!("{name}.wasm")))?;
        let ctx = sandbox.context_with(program, Grants::default())?;
        let p = ctx.main([""; 0]).stdout(Output::Capture).start()?;
        let status = p.join()?;
        let printed = p.output()?;
        assert_eq!(String::from_utf8_lossy(&printed), due(name), "{name} {status}");
        assert!(status.success(), "{name} {status}");
    }
    Ok(())
}

#[test]
fn every_program_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    names.sort();
    assert_eq!(names, PROGRAMS.map(|(name, _)| name));
}

/// The Rust of a page, block by block. What is a doc test elsewhere, and says so, is not in it.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        match line {
            "```rust" => {
                is_open = true;
                blocks.push(String::new());
            }
            "```" => is_open = false,
            line if is_open => *blocks.last_mut().unwrap() += &format!("{line}\n"),
            _ => {}
        }
    }
    blocks
}

/// Its lines without the space in front of and behind them.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn what_the_readme_shows_is_a_piece_of_a_program_that_runs() {
    let sources = PROGRAMS.map(|(name, _)| source(name));
    let blocks = blocks(&read(root().join("README.md")));
    assert!(blocks.len() > 5, "{blocks:?}");
    for block in blocks {
        let piece = lines(&block);
        let is_in = |source: &String| lines(source).windows(piece.len()).any(|at| at == piece);
        assert!(sources.iter().any(is_in), "no program has:\n{block}");
    }
}

#[test]
fn pages_with_rust_are_compiled() {
    // That of tests is a doc test of `procbox-guest`; others have none.
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let is_page = path.extension().is_some_and(|e| e == "md");
        if !is_page || path.ends_with("testing.md") {
            continue;
        }
        assert_eq!(blocks(&read(&path)), [""; 0], "{}", path.display());
    }
}
