//! The groups of measurements in words: what an operation of each is, and what its figures advise.

use procbox_benches::Figure;

/// What the names of groups begin with that have more and more of something.
pub(super) const SCALE: &str = "scale/";

/// What is measured, by the beginning of a group's name; the longest that fits counts.
const ABOUT: &[(&str, &str)] = &[
    ("spawn", "start a process, run a worker that does nothing, join it"),
    ("queue/64B", "one message of 64 bytes through a queue, from one process to another"),
    ("queue/64KiB/1p1c", "one message of 64 KiB, put and got as a value"),
    ("queue/64KiB/loan", "one message of 64 KiB, written and read in place"),
    ("queue/1MiB/1p1c", "one message of 1 MiB, put and got as a value"),
    ("queue/1MiB/loan", "one message of 1 MiB, written and read in place"),
    ("bridge/64B", "one message of 64 bytes, and who is at which end of the queue"),
    ("bridge/64KiB", "one message of 64 KiB, and who is at which end of the queue"),
    ("lock", "take a lock that nobody else wants, and release it"),
    ("semaphore", "take a permit that nobody else wants, and give it back"),
    ("pipe", "a message to another process and its answer"),
    ("pool/empty", "one task that does nothing, each sent alone"),
    ("pool/fresh", "one task that does nothing, each in a process of its own"),
    ("pool/map", "one of a million tasks that do nothing, in chunks"),
    ("compute/json", "a document of a hundred entries from JSON and back"),
    ("compute/sieve", "the primes below a million"),
    ("compute/matmul", "the product of two matrices of 128 rows and columns, of f64"),
    ("warm", "a small script in a process of its own, from an image that has started"),
    ("floor/pool-empty", "one number by a queue to another process and back by a second, 32 ahead"),
    (
        "floor/pool-map",
        "a number encoded and decoded as an argument and as a result, and nothing else",
    ),
    ("fair/ping-pong", "a message and its answer, beside processes that compute"),
    ("fair/kill", "from a kill to the end of a process that computes"),
    ("scale/spawn", "a start, by how many other processes are alive"),
    ("scale/waiters", "a message to a queue and an answer, by how many wait at it"),
    ("scale/producers", "one of many messages of 64 bytes, by how many put them"),
    ("scale/lock", "take a lock and release it, by how many do nothing else"),
    ("scale/map", "one task of a map, by how many there are"),
    ("safety/deadlocks", "a message and its answer, with and without looking for deadlocks"),
    ("safety/limits", "a start with limits of the whole tree"),
    ("safety/fuel", "a million steps of a loop, with and without counting fuel"),
    (
        "safety/preemption",
        "a million steps of a loop in bare wasmtime, by how it can be interrupted",
    ),
    ("safety/files", "a start, with and without a directory that is granted"),
    ("safety/fresh", "a task in a process that is used again, and in one of its own"),
    ("safety/confine", "a native start, by what the kernel is asked to refuse"),
    ("safety/compile", "a program made ready to run"),
];

/// What an operation of a group is.
pub(super) fn about(group: &str) -> &'static str {
    let fits = ABOUT.iter().filter(|(beginning, _)| group.starts_with(beginning));
    fits.max_by_key(|(beginning, _)| beginning.len()).map_or("", |(_, about)| about)
}

/// The figures in groups, in their order.
pub(super) fn grouped(figures: &[Figure]) -> Vec<(&str, &[Figure])> {
    figures
        .chunk_by(|one, other| one.group == other.group)
        .map(|group| (group.first().map_or("", |figure| &*figure.group), group))
        .collect()
}

/// A time, with a unit in which it is readable.
pub(super) fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => (nanos, "ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "us"),
        _ if nanos < 1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    match value {
        _ if value < 10.0 => format!("{value:.2} {unit}"),
        _ if value < 100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// How many times one is the other, as people say it.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}x") } else { format!("{ratio:.0}x") }
}

/// Below this ratio two figures are said to be about the same.
const ALIKE: f64 = 1.25;

/// What a group's figures advise, in a sentence; none where there is nothing to choose.
pub(super) fn advice(group: &str, figures: &[Figure]) -> Option<String> {
    let of = |contender: &str| {
        figures.iter().find(|figure| figure.contender == contender).map(|figure| figure.ns_per_op)
    };
    let (Some(native), Some(sandbox)) = (of("native"), of("sandbox")) else {
        return cost(group, figures);
    };
    let ratio = (native / sandbox).max(sandbox / native);
    let (fast, slow, of_fast) = match native < sandbox {
        true => ("native", "sandboxed", native),
        false => ("sandboxed", "native", sandbox),
    };
    let choice = match group {
        _ if ratio < ALIKE => {
            format!("Both backends take about {}: choose by what you need else.", time(of_fast))
        }
        "spawn" => format!(
            "A {fast} process starts {} as fast as a {slow} one: give tasks of less than some {} to \
             a pool instead of a process each.",
            times(ratio),
            time(10.0 * native.max(sandbox)),
        ),
        "pool/fresh" => format!(
            "A process per task costs {} {fast} and {} {slow}: use it where tasks must not see one \
             another.",
            time(of_fast),
            time(native.max(sandbox)),
        ),
        "pool/empty" => format!(
            "A task that takes less than some {} is worth a chunk: let `map` choose its size.",
            time(10.0 * native.max(sandbox)),
        ),
        _ => format!("{} is {} as fast here.", capital(fast), times(ratio)),
    };
    let peers = figures.iter().filter(|it| !["native", "sandbox"].contains(&&*it.contender));
    let best = peers.min_by(|one, other| one.ns_per_op.total_cmp(&other.ns_per_op));
    Some(match best {
        Some(best) => {
            let ratio = of_fast / best.ns_per_op;
            let to = if ratio < 1.0 {
                format!("{} as fast as", times(1.0 / ratio))
            } else {
                format!("{} the time of", times(ratio))
            };
            format!("{choice} The faster of the two is {to} {}, the best peer.", best.contender)
        }
        None => choice,
    })
}

/// What the rest of a group costs beside its first.
fn cost(group: &str, figures: &[Figure]) -> Option<String> {
    let (first, rest) = figures.split_first()?;
    let most = rest.iter().max_by(|one, other| one.ns_per_op.total_cmp(&other.ns_per_op))?;
    let more = most.ns_per_op / first.ns_per_op;
    let what = format!("`{}` against `{}`", most.contender, first.contender);
    Some(match group.starts_with("safety/") {
        _ if more < ALIKE => format!("{}: no difference that matters.", capital(&what)),
        true => {
            format!("{}: {} the time. It is the price of that safety.", capital(&what), times(more))
        }
        false => format!("{}: {} the time.", capital(&what), times(more)),
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, ns_per_op: f64) -> Figure {
        let json = format!(
            r#"{{"group": "spawn", "contender": "{contender}", "ns_per_op": {ns_per_op}, "samples": 9}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_group_advises_by_its_own_figures() {
        let own = [figure("native", 300e3), figure("sandbox", 10e3), figure("fork", 200e3)];
        let said = advice("spawn", &own).unwrap();
        assert!(said.contains("sandboxed process starts 30x as fast as a native one"), "{said}");
        assert!(said.contains("3.00 ms") && said.contains("20x as fast as fork"), "{said}");
        let alike = [figure("native", 100.0), figure("sandbox", 110.0)];
        assert!(advice("lock", &alike).unwrap().starts_with("Both backends take about 100 ns"));
        let costs = [figure("not counted", 1e6), figure("counted", 1.5e6)];
        assert!(advice("safety/fuel", &costs).unwrap().contains("1.50x the time"));
        assert_eq!(advice("pool/empty", &costs[..1]), None);
    }

    #[test]
    fn times_are_readable() {
        let said = [0.5, 12.34, 999.0, 1500.0, 2.5e6, 3e9].map(time);
        assert_eq!(said, ["0.50 ns", "12.3 ns", "999 ns", "1.50 us", "2.50 ms", "3.00 s"]);
    }

    #[test]
    fn each_group_that_there_is_has_words() {
        for (group, _) in ABOUT {
            assert!(!about(&format!("{group}/more")).is_empty());
        }
        assert_eq!(about("queue/1MiB/loan"), "one message of 1 MiB, written and read in place");
        assert_eq!(about("unheard of"), "");
    }
}
