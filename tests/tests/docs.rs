//! The tables in the documentation name the cases that hold each rule: each case is there, and what is
//! there exists. Links between pages lead somewhere.

use procbox_cases::CASES;
use std::collections::BTreeSet;
use std::path::Path;

/// A page of the repository.
fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What looks like a case, `module::name`, among what stands in backticks. Abbreviated names end in
/// dots and are not looked up.
fn named(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter_map(|word| word.split_once("::"));
    let ours = paths.filter(|(module, _)| !module.starts_with("procbox") && *module != "std");
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(is_letter);
    let cases = ours.filter(|(module, name)| is_name(module) && is_name(name));
    cases.map(|(_, name)| name.to_string()).collect()
}

#[test]
fn every_case_that_is_named_exists() {
    let known: BTreeSet<&str> = CASES.iter().map(|(name, _)| *name).collect();
    for path in ["docs/semantics.md", "SPECIFICATION.md"] {
        let unknown: Vec<String> =
            named(&page(path)).into_iter().filter(|name| !known.contains(&**name)).collect();
        assert!(unknown.is_empty(), "{path} names what is no case: {unknown:?}");
    }
}

#[test]
fn every_case_is_named() {
    let text = page("docs/semantics.md");
    let named = named(&text);
    // Those of two and of four processes are named together.
    let is_abbreviated = |name: &str| name.contains("_is_handed_on_a_hundred_thousand_times_");
    let missing: Vec<&str> = CASES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !named.contains(*name) && !is_abbreviated(name))
        .collect();
    assert!(missing.is_empty(), "docs/semantics.md does not name {missing:?}");
}

/// The pages in a folder of the repository.
fn pages(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn every_link_between_pages_leads_to_a_file() {
    let pages: Vec<String> = [".", "docs", "docs/decisions"].into_iter().flat_map(pages).collect();
    assert!(pages.len() > 10, "there are no pages: {pages:?}");
    for path in pages {
        let text = page(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            assert!(folder.with_file_name(target).exists(), "{path} leads to no {target}");
        }
    }
}
