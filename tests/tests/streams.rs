//! The standard error of a `main`, as who starts it sees it, on both backends.

use anyhow::ensure;
use procbox::{Bytes, Context, Error, Native, Output, Result, native, sandbox};
use procbox_tests::{Backend, program, watched, watched_in};

fn plain(backend: Backend) -> Result<Context> {
    let path = program("plain", backend);
    match backend {
        Backend::Native => Native::builder().program(native::Program::open(path)?).build(),
        Backend::Sandbox => procbox_tests::sandbox().context(sandbox::Program::wasm(path)?),
    }
}

fn the_two_streams_are_kept_apart(ctx: &Context) -> anyhow::Result<()> {
    let main = || ctx.main(["complain", "it"]).stdout(Output::Capture);
    let p = main().stderr(Output::Capture).start()?;
    ensure!(p.join()?.success());
    let (said, complained) = (p.output()?, p.error_output()?);
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().count();
    ensure!((lines(&said), lines(&complained)) == (20, 20));
    ensure!(complained.starts_with(b"it complains 0\n"), "{complained:?}");
    ensure!(p.error_output()?.is_empty(), "it was taken out");

    let p = main().stderr(Output::Null).start()?;
    ensure!(p.join()?.success());
    ensure!((lines(&p.output()?), p.error_output()?.len()) == (20, 0));
    Ok(())
}

#[test]
fn a_programs_stderr_is_captured_or_dropped_on_both_backends() {
    for backend in [Backend::Native, Backend::Sandbox] {
        watched_in(plain(backend), the_two_streams_are_kept_apart);
    }
}

#[test]
fn a_workers_stderr_is_its_parents_on_both_backends() {
    for backend in [Backend::Native, Backend::Sandbox] {
        watched(backend, |ctx| {
            let refused = ctx.process("double").args((1u64,)).stderr(Output::Capture).start();
            ensure!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
            Ok(())
        });
    }
}

/// A grader needs all three of one that fails: what it printed, what it complained of, and its status.
fn a_failed_run_keeps_what_it_printed(ctx: &Context) -> anyhow::Result<()> {
    let pool = ctx.pool_of_main([""; 0]).workers(2).stderr(Output::Capture).build()?;
    let inputs = ["well", "exit 3", "exit 0"].map(|text| Bytes(text.as_bytes().to_vec()));
    let ends: Vec<_> = pool.imap(inputs).collect();
    ensure!(matches!(&ends[..], [(0, Ok(_)), (1, Err(_)), (2, Ok(_))]), "{ends:?}");
    let Err(Error::WorkerDied { status, printed: Some(printed), .. }) = &ends[1].1 else {
        anyhow::bail!("{:?}", ends[1]);
    };
    ensure!(status.exitcode() == 3, "{status}");
    ensure!(printed.stdout == b"EXIT 3\n" && printed.stderr == b"so it exits\n", "{printed:?}");

    // Not captured, it is not kept; nor is that of an attempt before the last.
    let pool = ctx.pool_of_commands().retries(1).idempotent(true).stderr(Output::Null).build()?;
    let words = ["complain", "b"].map(|word| Bytes(word.as_bytes().to_vec())).to_vec();
    let failed = pool.apply(((words, Bytes::default()),));
    let Err(Error::WorkerDied { attempts: 2, printed: Some(printed), .. }) = &failed else {
        anyhow::bail!("{failed:?}");
    };
    let lines = String::from_utf8_lossy(&printed.stdout).lines().count();
    ensure!((lines, printed.stderr.len()) == (20, 0), "{printed:?}");

    // One that is ended keeps what it had printed until then.
    let limit = std::time::Duration::from_millis(300);
    let pool = ctx.pool_of_commands().task_timeout(limit).build()?;
    let words = ["says_and_spins"].map(|word| Bytes(word.as_bytes().to_vec())).to_vec();
    let failed = pool.apply(((words, Bytes::default()),));
    let Err(Error::WorkerDied { status, printed: Some(printed), .. }) = &failed else {
        anyhow::bail!("{failed:?}");
    };
    ensure!(status.limit().is_some() && printed.stdout == b"about to spin\n", "{failed:?}");
    Ok(())
}

#[test]
fn a_failed_run_keeps_its_output_and_its_status_on_both_backends() {
    for backend in [Backend::Native, Backend::Sandbox] {
        watched_in(plain(backend), a_failed_run_keeps_what_it_printed);
    }
}
