//! A library with workers, and a test beside them: `docs/testing.md` is about this package.

use pb::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Twice the number.
#[worker]
pub fn double(n: u64) -> u64 {
    2 * n
}

/// Workers of another module.
pub mod shapes {
    /// The edges, each twice as long.
    #[pb::worker]
    pub fn double(edges: Vec<u64>) -> Vec<u64> {
        edges.iter().map(|edge| 2 * edge).collect()
    }
}

/// The sum of the doubled numbers: a function that uses workers and whose caller need not know.
///
/// # Errors
/// Those of a pool.
pub fn sum_of_doubles(numbers: &[u64]) -> Result<u64> {
    let pool = pb::context()?.pool(double).workers(2).build()?;
    Ok(pool.map(numbers.iter().copied())?.into_iter().sum())
}

/// Doubles what comes until the queue is closed, each in a process of its own.
///
/// # Errors
/// Those of processes and queues.
#[worker]
pub fn doubles(from: Queue<u64>, to: Queue<u64>) -> Result<()> {
    let ctx = pb::context()?;
    while let Ok(n) = from.get() {
        to.put(&ctx.spawn(double, (n,))?.join()?)?;
    }
    Ok(())
}

static CONSTRUCTED: AtomicU32 = AtomicU32::new(0);

extern "C" fn construct() {
    CONSTRUCTED.fetch_add(1, Ordering::Relaxed);
}

#[used]
// SAFETY: the section is of pointers to functions, which the loader calls before `main`.
#[unsafe(link_section = ".init_array")]
static CONSTRUCT: extern "C" fn() = construct;

/// How often a constructor of this program has run in the process.
#[worker]
pub fn constructed() -> u32 {
    CONSTRUCTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_starts_workers() -> Result<()> {
        assert_eq!(sum_of_doubles(&[1, 2, 3])?, 12);
        Ok(())
    }

    /// With workers that are threads, as under a debugger, and with workers that are processes.
    #[test]
    fn a_worker_doubles_until_its_queue_is_closed() -> Result<()> {
        for ctx in [pb::local()?, pb::context()?] {
            let (from, to) = (ctx.queue(4)?, ctx.queue(4)?);
            let p = ctx.process(doubles).args((&from, &to)).start()?;
            (1..4u64).try_for_each(|n| from.put(&n))?;
            from.close();
            assert!(p.join()?.success());
            assert_eq!([to.get()?, to.get()?, to.get()?], [2, 4, 6]);
        }
        Ok(())
    }

    #[test]
    fn several_tests_start_workers_at_once() -> Result<()> {
        let ctx = pb::context()?;
        let pool = ctx.pool(shapes::double).workers(1).build()?;
        assert_eq!(pool.apply((vec![1, 2],))?, [2, 4]);
        Ok(())
    }

    #[test]
    fn a_panic_of_a_worker_is_its_own() -> Result<()> {
        #[worker]
        fn panics() {
            panic!("as it should")
        }
        let p = pb::context()?.process(panics).start()?;
        assert_eq!(p.join()?.exitcode(), 101);
        Ok(())
    }

    #[test]
    fn a_write_without_a_reader_is_an_error_in_a_worker() -> Result<()> {
        #[worker]
        fn writes() -> std::io::Result<bool> {
            let (reader, mut writer) = std::io::pipe()?;
            drop(reader);
            let written = std::io::Write::write_all(&mut writer, b"to nobody");
            Ok(written.is_err_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
        }
        let pool = pb::context()?.pool(writes).workers(1).build()?;
        assert!(pool.apply(())?);
        Ok(())
    }

    #[test]
    fn a_worker_has_the_variables_of_its_program_and_none_of_procboxs() -> Result<()> {
        #[worker]
        fn variables() -> Vec<String> {
            std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
        }
        let pool = pb::context()?.pool(variables).workers(1).build()?;
        let mut here: Vec<String> = variables();
        let mut there = pool.apply(())?;
        here.sort();
        there.sort();
        assert_eq!(here, there);
        Ok(())
    }

    #[test]
    fn constructors_have_run_in_a_worker() -> Result<()> {
        let pool = pb::context()?.pool(constructed).workers(1).build()?;
        assert_eq!(pool.apply(())?, 1);
        Ok(())
    }
}
