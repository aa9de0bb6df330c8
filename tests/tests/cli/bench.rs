//! `procbox bench`: the table, its JSON, the page, and a comparison of two runs.

use super::*;

#[test]
fn bench_writes_a_table_figures_and_a_page_and_compares_runs() {
    let dir = folder();
    let (json, html) = (dir.path().join("figures.json"), dir.path().join("page.html"));
    let mut first = Command::new(procbox());
    first.args(["bench", "--quick", "lock/uncontended native", "--json"]).arg(&json);
    let ran = run(first.arg("--html").arg(&html));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for part in ["lock/uncontended: take a lock", "native", "1.00x", " CPUs of type "] {
        assert!(ran.stdout.contains(part), "{part} is not in {}", ran.stdout);
    }
    let figures: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let figure = &figures[0];
    assert_eq!(
        (&figure["group"], &figure["contender"]),
        (&"lock/uncontended".into(), &"native".into())
    );
    let number = |name: &str| figure[name].as_f64().unwrap();
    assert!(number("low") <= number("ns_per_op") && number("ns_per_op") <= number("high"));
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("lock/uncontended"));
    let mut second = Command::new(procbox());
    second.args(["bench", "--quick", "lock/uncontended native", "--compare"]).arg(&json);
    let ran = run(&mut second);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("of 1 have not changed beyond the noise"), "{}", ran.stdout);
}

#[test]
fn bench_says_what_is_wrong_before_it_measures() {
    let dir = folder();
    let broken = dir.path().join("broken.json");
    std::fs::write(&broken, "{}").unwrap();
    let mut command = Command::new(procbox());
    let ran = run(command.args(["bench", "--compare"]).arg(&broken));
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("broken.json: not what `procbox bench --json` writes"),
        "{}",
        ran.stderr
    );
    let ran = run(Command::new(procbox()).args(["bench", "no such group"]));
    assert!(ran.status == 1 && ran.stderr.contains("no group and contender has `no such group`"));
}
