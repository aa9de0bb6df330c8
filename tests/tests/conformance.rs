//! Every case of the contract, four times: on both backends, and there in the parent and in a
//! worker. `native::parent::NAME`, `native::worker::NAME`, `sandbox::parent::NAME`,
//! `sandbox::worker::NAME`.

use anyhow::{anyhow, bail};
use procbox::{Context, Queue};
use procbox_cases::{find, for_each_case};
use procbox_tests::{Backend, watched};

/// Runs a case in this process.
fn in_parent(backend: Backend, name: &'static str) {
    watched(backend, move |ctx| match find(name) {
        Some(case) => case(ctx),
        None => Err(anyhow!("no case of this name")),
    });
}

/// Runs a case in a worker, which says what failed.
fn in_worker(backend: Backend, name: &'static str) {
    watched(backend, move |ctx| run_in_worker(ctx, name));
}

fn run_in_worker(ctx: &Context, name: &str) -> anyhow::Result<()> {
    let failure: Queue<String> = ctx.queue(1)?;
    let p = ctx.process("run_case").args((name, &failure)).start()?;
    let status = p.join()?;
    match failure.try_get() {
        Ok(why) => bail!("{why}"),
        Err(_) if status.success() => Ok(()),
        Err(_) => bail!("the worker {status}"),
    }
}

macro_rules! test {
    ($backend:ident worker $name:ident except worker $why:literal) => {
        test! { ignored $name $why }
    };
    (Sandbox worker $name:ident except guest $why:literal) => {
        test! { ignored $name $why }
    };
    (ignored $name:ident $why:literal) => {
        #[test]
        #[ignore = $why]
        fn $name() {}
    };
    ($backend:ident parent $name:ident $($exception:tt)*) => {
        #[test]
        fn $name() {
            crate::in_parent(procbox_tests::Backend::$backend, stringify!($name));
        }
    };
    ($backend:ident worker $name:ident $($exception:tt)*) => {
        #[test]
        fn $name() {
            crate::in_worker(procbox_tests::Backend::$backend, stringify!($name));
        }
    };
}

mod native {
    mod parent {
        crate::for_each_case! { test Native parent }
    }
    mod worker {
        crate::for_each_case! { test Native worker }
    }
}

mod sandbox {
    mod parent {
        crate::for_each_case! { test Sandbox parent }
    }
    mod worker {
        crate::for_each_case! { test Sandbox worker }
    }
}
