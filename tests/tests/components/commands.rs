//! Commands of WASI 0.2: what they are given, what they may do, and how they end.

use crate::{builder, context_of};
use anyhow::ensure;
use procbox::sandbox::{Grants, SandboxBuilder, TreeLimits};
use procbox::{ExitStatus, Input, Limit, Output};
use std::time::Duration;

/// How a run ended, and what it printed.
fn run(
    builder: SandboxBuilder,
    grants: Grants,
    words: &[&str],
    stdin: &str,
) -> anyhow::Result<(ExitStatus, String)> {
    let ctx = context_of("command", builder, grants.quiet(true))?;
    let process = ctx
        .main(words.iter().copied())
        .stdin(Input::Bytes(stdin.into()))
        .stdout(Output::Capture)
        .stderr(Output::Null)
        .timeout(Duration::from_secs(50))
        .start()?;
    let status = process.join()?;
    Ok((status, String::from_utf8_lossy(&process.output()?).into_owned()))
}

fn plainly(words: &[&str], stdin: &str) -> anyhow::Result<(ExitStatus, String)> {
    run(builder(), Grants::default(), words, stdin)
}

/// The status alone, with a limit of a tree.
fn breaks(limits: TreeLimits, word: &str) -> anyhow::Result<Option<Limit>> {
    Ok(run(builder().tree(limits), Grants::default(), &[word], "")?.0.limit())
}

#[test]
fn it_has_its_words_its_input_and_its_variables() -> anyhow::Result<()> {
    let ok = ExitStatus::SUCCESS;
    ensure!(plainly(&["echo", "a", "b c"], "")? == (ok, "a b c\n".into()));
    let text = "some text\n".repeat(10_000);
    ensure!(plainly(&["cat"], &text)? == (ok, text));
    let grants = Grants::default().env("NAME", "value");
    ensure!(run(builder(), grants, &["env", "NAME"], "")? == (ok, "value\n".into()));
    Ok(())
}

#[test]
fn it_ends_with_success_or_without() -> anyhow::Result<()> {
    ensure!(plainly(&["exit", "0"], "")?.0 == ExitStatus::SUCCESS);
    // Its target has these two statuses only.
    ensure!(plainly(&["exit", "7"], "")?.0 == ExitStatus::exited(1));
    ensure!(plainly(&["fail"], "")?.0 == ExitStatus::exited(1));
    Ok(())
}

#[test]
fn each_limit_is_kept_and_named() -> anyhow::Result<()> {
    ensure!(breaks(TreeLimits::new().output(100_000), "flood")? == Some(Limit::Output));
    let second = Duration::from_millis(200);
    ensure!(breaks(TreeLimits::new().time(second), "sleep")? == Some(Limit::WallClock));
    ensure!(breaks(TreeLimits::new().cpu_time(second), "loop")? == Some(Limit::CpuTime));
    let fuel = run(builder().fuel(100_000_000), Grants::default(), &["loop"], "")?;
    ensure!(fuel.0.limit() == Some(Limit::Fuel), "{}", fuel.0);
    // A program without memory aborts, as it does natively.
    let bomb = plainly(&["bomb"], "")?.0;
    ensure!(bomb.signal().is_some(), "{bomb}");
    Ok(())
}

#[test]
fn files_are_within_their_quotas() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let there = folder.path().join("there");
    std::fs::write(&there, "")?;
    let grants = || Grants::default().dir(folder.path(), "/d");
    let within =
        |limits: TreeLimits, words: &[&str]| run(builder().tree(limits), grants(), words, "");
    let (status, _) = within(TreeLimits::new().written(1 << 20), &["write", "/d/x", "10000000"])?;
    ensure!(status == ExitStatus::exited(1), "{status}");
    ensure!(folder.path().join("x").metadata()?.len() <= 1 << 20);
    let (status, _) = within(TreeLimits::new().written(1 << 20), &["write", "/d/y", "1000000"])?;
    ensure!(
        status == ExitStatus::SUCCESS && folder.path().join("y").metadata()?.len() >= 1_000_000
    );
    let (_, opened) = within(TreeLimits::new().open_files(20), &["open", "/d/there"])?;
    let many: usize = opened.split(' ').next().unwrap_or_default().parse()?;
    ensure!((10..20).contains(&many), "{opened}");
    let (_, made) = within(TreeLimits::new().created(9), &["make", "/d"])?;
    ensure!(made.starts_with("9 "), "{made}");
    Ok(())
}

#[test]
fn what_is_read_only_is_not_written_to() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let grants = Grants::default().dir_read_only(folder.path(), "/d");
    let (status, _) = run(builder(), grants, &["write", "/d/x", "1"], "")?;
    ensure!(status == ExitStatus::exited(1) && !folder.path().join("x").exists());
    Ok(())
}

#[test]
fn its_memory_counts_as_a_core_modules_does() -> anyhow::Result<()> {
    let refused = run(builder().memory(1 << 20), Grants::default(), &["echo"], "");
    ensure!(refused.is_err_and(|e| e.to_string().contains("more than the limit of 1048576")));
    let ctx = context_of("command", builder(), Grants::default())?;
    let process = ctx.main(["sleep"]).start()?;
    while process.usage()?.memory.is_none_or(|bytes| bytes < 1 << 20) {
        std::thread::yield_now();
    }
    process.kill()?;
    process.join()?;
    Ok(())
}
