//! The context of the examples in this documentation, with the workers that they start.

use super::LocalWorker;
use crate::runner::{Outcome, end_of, end_of_result};
use crate::{Context, Queue, Result};

/// A local context with the workers `double`, `greet`, `is_prime` and `writer`.
///
/// # Errors
/// Those of [`Context::local`].
#[doc(hidden)]
pub fn example() -> Result<Context> {
    Context::local([
        LocalWorker::new("double", |call, result| {
            let (n,): (u64,) = call.arguments()?;
            end_of(2 * n, result)
        })
        .signature("double(n: u64) -> u64"),
        LocalWorker::new("greet", |call, result| {
            let (name,): (String,) = call.arguments()?;
            println!("hello, {name}");
            end_of((), result)
        }),
        LocalWorker::new("is_prime", |call, result| {
            let (n,): (u64,) = call.arguments()?;
            end_of(n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0), result)
        }),
        LocalWorker::new("writer", |call, result| -> Outcome {
            let (q, n): (Queue<u32>, u32) = call.arguments()?;
            end_of_result((0..n).try_for_each(|i| q.put(&i)), result)
        }),
    ])
}
