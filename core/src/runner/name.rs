//! Names of workers: which worker a name asks for, and the shortest name by which each can be asked.
//!
//! A program may have any number of workers called `double`. What sets them apart is their
//! *identity*: `app::shapes::double@0.1.0/src/shapes.rs:7:1`, the full name and, behind the `@`, the
//! place in the source. `#[worker]` writes it, and an item is started by it. A person writes the last
//! part, or as many parts as it takes.

use crate::raw::WorkerInfo;
use crate::{Error, Result};
use std::collections::HashMap;

/// The full name in an identity: all but the place.
pub(crate) const fn full(identity: &str) -> &str {
    let bytes = identity.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'@' {
            return identity.split_at(at).0;
        }
        at += 1;
    }
    identity
}

/// The last part of an identity's full name.
pub(crate) const fn last(identity: &str) -> &str {
    let name = full(identity);
    let bytes = name.as_bytes();
    let mut at = bytes.len();
    while at >= 2 {
        if bytes[at - 1] == b':' && bytes[at - 2] == b':' {
            return name.split_at(at).1;
        }
        at -= 1;
    }
    name
}

/// Whether a full name ends with these parts.
fn ends_with(name: &str, parts: &str) -> bool {
    !parts.is_empty() && name.strip_suffix(parts).is_some_and(|before| before.ends_with("::"))
}

/// What a search came to.
enum Found {
    None,
    One(usize),
    Several,
}

/// The one that fits, if it is one.
fn only<'a>(names: impl Iterator<Item = &'a str>, fits: impl Fn(&str) -> bool) -> Found {
    let mut those = names.enumerate().filter(|(_, name)| fits(name)).map(|(index, _)| index);
    match (those.next(), those.next()) {
        (None, _) => Found::None,
        (Some(index), None) => Found::One(index),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The place, among the identities of a program's workers, of the one that a name asks for.
///
/// That is the worker of this identity; else the only one of this full name; else the only one whose
/// full name ends with these parts. An identity that the program does not have, as one of another
/// program's items, is asked for by its full name, then by that one's last part.
///
/// ```
/// use procbox_core::Error;
/// use procbox_core::runner::find_worker;
/// let those = ["app::double@1", "app::shapes::double@2", "app::shapes::resize@3"];
/// let find = |name| find_worker(name, those.iter().copied());
/// assert_eq!(find("app::double@1"), Ok(0)); // as an item is started
/// assert_eq!(find("shapes::double"), Ok(1));
/// assert_eq!(find("resize"), Ok(2));
/// assert!(matches!(find("double"), Err(Error::AmbiguousWorker { .. })));
/// assert!(matches!(find("halve"), Err(Error::NoSuchWorker { .. })));
/// ```
///
/// # Errors
/// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`]: both with the names that there are.
pub fn find_worker<'a, I>(asked: &str, identities: I) -> Result<usize>
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: Clone,
{
    let identities = identities.into_iter();
    match search(asked, identities.clone()) {
        Found::One(index) => Ok(index),
        Found::None => {
            let available = names(identities);
            Err(Error::NoSuchWorker { name: full(asked).to_string(), available })
        }
        Found::Several => {
            let asked = full(asked);
            let alike = |it: &&str| full(it) == asked || last(it) == last(asked);
            let candidates = names(identities).into_iter().filter(|it| alike(&it.as_str()));
            Err(Error::AmbiguousWorker {
                name: asked.to_string(),
                candidates: candidates.collect(),
            })
        }
    }
}

/// The same as [`find_worker`], with errors that list no names: for who asks on behalf of a guest,
/// which makes the list as long as it likes and asks as often as it likes.
///
/// ```
/// use procbox_core::Error;
/// use procbox_core::runner::find_worker_briefly;
/// let those = ["app::double@1", "app::shapes::double@2"];
/// let find = |name| find_worker_briefly(name, those.iter().copied());
/// assert_eq!(find("shapes::double"), Ok(1));
/// assert_eq!(find("halve"), Err(Error::NoSuchWorker { name: "halve".into(), available: vec![] }));
/// ```
///
/// # Errors
/// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`].
pub fn find_worker_briefly<'a, I>(asked: &str, identities: I) -> Result<usize>
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: Clone,
{
    let name = || full(asked).to_string();
    match search(asked, identities.into_iter()) {
        Found::One(index) => Ok(index),
        Found::None => Err(Error::NoSuchWorker { name: name(), available: Vec::new() }),
        Found::Several => Err(Error::AmbiguousWorker { name: name(), candidates: Vec::new() }),
    }
}

fn search<'a>(asked: &str, identities: impl Iterator<Item = &'a str> + Clone) -> Found {
    let by_identity = only(identities.clone(), |identity| identity == asked);
    let by_name = |name: &str| match only(identities.clone(), |it| full(it) == name) {
        Found::None => only(identities.clone(), |it| ends_with(full(it), name)),
        found => found,
    };
    let is_identity = asked.contains('@');
    let tries: [&dyn Fn() -> Found; 2] = [&|| by_name(full(asked)), &|| {
        if is_identity { by_name(last(asked)) } else { Found::None }
    }];
    let mut found = by_identity;
    for next in tries {
        if matches!(found, Found::None) {
            found = next();
        }
    }
    found
}

/// The shortest name of each by which it can be asked: its last part, its full name, its identity.
fn names<'a>(identities: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let (mut of_last, mut of_full) = (HashMap::new(), HashMap::new());
    for identity in identities.clone() {
        *of_last.entry(last(identity)).or_insert(0) += 1;
        *of_full.entry(full(identity)).or_insert(0) += 1;
    }
    let shortest = |identity: &'a str| {
        let (last, full) = (last(identity), full(identity));
        // A full name goes before a last part.
        let is_full = last == full || !of_full.contains_key(last);
        match (of_last.get(last), of_full.get(full)) {
            (Some(1), _) if is_full && !last.is_empty() => last,
            (_, Some(1)) => full,
            _ => identity,
        }
    };
    identities.map(|identity| shortest(identity).to_string()).collect()
}

/// Workers by identity, as a program lists them to a person: each by the shortest name by which it
/// can be started, and with its signature under that name; sorted.
///
/// ```
/// use procbox_core::raw::WorkerInfo;
/// use procbox_core::runner::listed_workers;
/// let worker = |identity: &str, text: &str| WorkerInfo::new(identity, Some(text.to_string()));
/// let listed = listed_workers(vec![
///     worker("app::shapes::double@2", "double(shape: Shape) -> Shape"),
///     worker("app::double@1", "double(n: u64) -> u64"),
///     worker("app::shapes::resize@3", "resize(shape: Shape)"),
/// ]);
/// let texts: Vec<_> = listed.iter().filter_map(|worker| worker.signature.as_deref()).collect();
/// assert_eq!(texts, [
///     "app::double(n: u64) -> u64",
///     "app::shapes::double(shape: Shape) -> Shape",
///     "resize(shape: Shape)",
/// ]);
/// assert_eq!(listed[2].name, "resize");
/// ```
pub fn listed_workers(mut workers: Vec<WorkerInfo>) -> Vec<WorkerInfo> {
    let names = names(workers.iter().map(|worker| worker.identity.as_str()));
    for (worker, name) in workers.iter_mut().zip(names) {
        let rest =
            worker.signature.as_deref().and_then(|text| text.strip_prefix(last(&worker.identity)));
        if let Some(rest) = rest {
            worker.signature = Some(format!("{name}{rest}"));
        }
        worker.name = name;
    }
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    workers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::hash_set;
    use proptest::prelude::*;

    const THOSE: [&str; 6] = [
        "app::w@0.1.0/src/main.rs:1:1",
        "app::w@0.1.0/src/lib.rs:1:1",
        "app::m::w@0.1.0/src/m.rs:1:1",
        "other::w@2.0.0/src/lib.rs:1:1",
        "plain",
        "app::plain@0.1.0/src/lib.rs:9:1",
    ];

    fn find(name: &str) -> Result<usize> {
        find_worker(name, THOSE)
    }

    #[test]
    fn an_item_is_found_however_many_have_its_name() {
        for (index, identity) in THOSE.iter().enumerate() {
            assert_eq!(find(identity), Ok(index));
        }
    }

    #[test]
    fn a_name_that_several_have_is_refused_with_names_that_one_has() {
        for name in ["w", "app::w"] {
            let Err(Error::AmbiguousWorker { candidates, .. }) = find(name) else {
                panic!("{name}: {:?}", find(name));
            };
            assert!(candidates.len() >= 2, "{candidates:?}");
            assert!(candidates.iter().all(|candidate| find(candidate).is_ok()), "{candidates:?}");
        }
        assert_eq!(find("m::w"), Ok(2));
        assert_eq!(find("other::w"), Ok(3));
    }

    #[test]
    fn an_identity_that_two_have_starts_neither() {
        let those = ["app::w@0.1.0/src/lib.rs:1:1"; 2];
        for name in [those[0], "app::w", "w"] {
            let found = find_worker(name, those);
            assert!(matches!(found, Err(Error::AmbiguousWorker { .. })), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_full_name_goes_before_a_part_of_another() {
        assert_eq!(find("plain"), Ok(4));
        assert_eq!(find("app::plain"), Ok(5));
    }

    #[test]
    fn parts_are_whole() {
        for name in ["", "::", "::w", "pp::w", "lain", "@", "w@"] {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_item_of_another_program_asks_by_its_name() {
        assert_eq!(find("other::w@3.0.0/src/lib.rs:4:1"), Ok(3));
        assert_eq!(find("embedder::m::plain@0.1.0/src/main.rs:1:1"), Ok(4));
        assert!(matches!(find("embedder::w@x"), Err(Error::AmbiguousWorker { .. })));
        assert!(matches!(find("embedder::v@x"), Err(Error::NoSuchWorker { .. })));
    }

    proptest! {
        #[test]
        fn whatever_a_program_lists_can_be_started(those in hash_set("[ab:@]{0,6}", 0..8)) {
            let those: Vec<String> = those.into_iter().collect();
            let identities = || those.iter().map(String::as_str);
            for (index, name) in names(identities()).iter().enumerate() {
                prop_assert_eq!(find_worker(name, identities()), Ok(index), "{}", name);
            }
        }
    }
}
