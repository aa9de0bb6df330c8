//! Tests of programs from outside: what they print, and their workers one by one.

use pb::Error;
use std::error::Error as AnyError;
use std::process::Command;

fn printed(program: &str) -> std::io::Result<String> {
    let output = Command::new(program).output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_item_is_the_worker_that_it_names() -> std::io::Result<()> {
    assert_eq!(printed(env!("CARGO_BIN_EXE_newcomer"))?, "20 2 [2]\n");
    Ok(())
}

#[test]
fn a_main_that_knows_nothing_of_workers_runs_once() -> std::io::Result<()> {
    assert_eq!(printed(env!("CARGO_BIN_EXE_unaware"))?, "main runs\n12\n");
    Ok(())
}

#[test]
fn the_workers_of_a_program_are_called_by_name() -> Result<(), Box<dyn AnyError>> {
    let ctx = pb::context_of(env!("CARGO_BIN_EXE_newcomer"))?;
    let farewell = ctx.pool::<(String,), String>("farewell").workers(1).build()?;
    assert_eq!(farewell.apply(("test",))?, "goodbye, test");
    let shapes = ctx.pool::<(Vec<u64>,), Vec<u64>>("shapes::double").workers(1).build()?;
    assert_eq!(shapes.apply((vec![3],))?, [6]);
    let Err(Error::AmbiguousWorker { candidates, .. }) = ctx.process("double").start() else {
        return Err("`double` is the name of several".into());
    };
    assert_eq!(candidates.len(), 3, "{candidates:?}");
    assert!(candidates.iter().any(|name| name == "newcomer::shapes::double"), "{candidates:?}");
    assert!(candidates.iter().any(|name| name.contains("/src/main.rs:")), "{candidates:?}");
    Ok(())
}

#[test]
fn a_test_may_call_init_too() -> Result<(), Error> {
    let ctx = pb::init()?;
    let pool = ctx.pool(newcomer::double).workers(2).build()?;
    assert_eq!(pool.map(1..4u64)?, [2, 4, 6]);
    Ok(())
}
