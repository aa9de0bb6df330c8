//! What a program had printed that failed in a pool.

/// What a run of a program in a pool had printed when it ended otherwise than with status 0, in
/// [`Error::WorkerDied`](crate::Error::WorkerDied). What a run printed that succeeded is its result.
///
/// ```no_run
/// # use procbox_core::{Bytes, Error, Output};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let pool = ctx.pool_of_main(["--strict"]).stderr(Output::Capture).build()?;
/// match pool.apply((Bytes(b"a submission".to_vec()),)) {
///     Ok(Bytes(stdout)) => println!("passed: {} bytes", stdout.len()),
///     Err(Error::WorkerDied { status, printed: Some(printed), .. }) => {
///         println!("{status}, after {} bytes", printed.stdout.len());
///         println!("{}", String::from_utf8_lossy(&printed.stderr));
///     }
///     Err(e) => return Err(e),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Printed {
    /// Its standard output, until it ended.
    pub stdout: Vec<u8>,
    /// Its standard error, if that is [captured](crate::PoolBuilder::stderr); empty if it is not.
    pub stderr: Vec<u8>,
}
