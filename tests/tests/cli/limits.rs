//! The limits that `run` and `map` share.

use super::*;

#[test]
fn output_ends_where_its_limit_is() {
    let sandboxed = program("plain", Backend::Sandbox);
    let ran = run(command("run --max-output 3", &[&sandboxed]).args(["args", "abcdef"]));
    check(&ran, 137, "abc");
    says(&ran, &["out of output"]);
    check(&run(command("run --max-output 1K", &[&sandboxed]).args(["args", "a"])), 0, "a\n");
    // Of a task, each has its own.
    let mapped =
        run(command("map --max-output 3", &[&sandboxed]).args(["args", ":::", "a", "bcdef"]));
    assert_eq!(mapped.status, 1, "{}", mapped.stderr);
    // What a failed command has printed is printed.
    assert_eq!(mapped.stdout, "a\nbcd\n");
    says(&mapped, &["output"]);
}

#[test]
fn cpu_time_is_limited_in_map_too() {
    let dir = folder();
    let spinner = dir.path().join("spins.wat");
    let text =
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))"#;
    std::fs::write(&spinner, text).unwrap();
    let mut sandboxed = command("map --cpu 200ms", &[&spinner]);
    sandboxed.args([":::", "a"]);
    let mut native = command("map --cpu 200ms sh -c", &[]);
    native.args(["while :; do :; done", "{}", ":::", "a"]);
    for mut map in [sandboxed, native] {
        let spins = run(&mut map);
        assert_eq!(spins.status, 1, "{}", spins.stderr);
        says(&spins, &["CPU time"]);
    }
}

#[test]
fn a_program_that_is_too_large_is_refused() {
    let sandboxed = program("plain", Backend::Sandbox);
    let ran = run(command("run --module-size 1K", &[&sandboxed]).arg("echo"));
    assert_eq!(ran.status, 126, "{}", ran.stderr);
}

#[test]
fn limits_of_the_sandbox_are_refused_natively() {
    let native = program("plain", Backend::Native);
    for option in [
        "--tree-memory=1M",
        "--tree-fuel=1",
        "--max-starts=1",
        "--max-output=1",
        "--max-open-files=1",
        "--max-written=1",
        "--module-size=1",
    ] {
        let name = option.split('=').next().unwrap_or_default();
        for of in ["run", "map"] {
            let refused = run(command(&format!("{of} {option}"), &[&native]).arg("echo"));
            assert_eq!(refused.status, 2, "{option}: {}", refused.stderr);
            says(&refused, &[name]);
        }
    }
}
