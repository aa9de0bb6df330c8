//! The standard error of a `main`, as who starts it sees it, on both backends.

use anyhow::ensure;
use procbox::{Context, Error, Native, Output, Result, native, sandbox};
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
