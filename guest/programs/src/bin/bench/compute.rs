//! What computes and calls nobody: what the sandbox's instructions and the checks in its loops cost.

use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Instant;

/// Does something `n` times and says how many nanoseconds that took.
fn timed(n: u64, took: &Queue<u64>, mut work: impl FnMut()) -> Result<()> {
    let began = Instant::now();
    (0..n).for_each(|_| work());
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// The primes below a million, by the sieve of Eratosthenes.
#[worker]
fn sieve(n: u64, took: Queue<u64>) -> Result<()> {
    const BELOW: usize = 1_000_000;
    let mut composite = vec![false; BELOW];
    timed(n, &took, || {
        composite.fill(false);
        for prime in (2..).take_while(|prime| prime * prime < BELOW) {
            if !composite[prime] {
                for multiple in (prime * prime..BELOW).step_by(prime) {
                    composite[multiple] = true;
                }
            }
        }
        black_box(composite.iter().skip(2).filter(|it| !**it).count());
    })
}

/// The product of two matrices of 128 rows and columns, row by row.
#[worker]
fn matmul(n: u64, took: Queue<u64>) -> Result<()> {
    const SIZE: usize = 128;
    type Matrix = Vec<[f64; SIZE]>;
    let filled = |step: f64| -> Matrix {
        (0..SIZE).map(|i| std::array::from_fn(|j| step * (i + 2 * j) as f64)).collect()
    };
    let (a, b) = (filled(0.5), filled(0.25));
    let mut product: Matrix = vec![[0.0; SIZE]; SIZE];
    timed(n, &took, || {
        for (row, out) in a.iter().zip(&mut product) {
            out.fill(0.0);
            for (factor, other) in row.iter().zip(&b) {
                for (sum, value) in out.iter_mut().zip(other) {
                    *sum += factor * value;
                }
            }
        }
        black_box(&mut product);
    })
}

/// An entry of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: u64,
    name: String,
    tags: Vec<String>,
    score: f64,
}

/// A document of a hundred entries from JSON and back to JSON.
#[worker]
fn json(n: u64, took: Queue<u64>) -> Result<()> {
    let entry = |id: u64| Entry {
        id,
        name: format!("entry number {id}"),
        tags: (0..4).map(|tag| format!("tag {tag}")).collect(),
        score: id as f64 / 7.0,
    };
    let entries: Vec<Entry> = (0..100).map(entry).collect();
    let failed = |e: serde_json::Error| Error::Invalid(e.to_string());
    let text = serde_json::to_string(&entries).map_err(failed)?;
    let mut read = Ok(Vec::new());
    timed(n, &took, || {
        read = serde_json::from_str::<Vec<Entry>>(black_box(&text));
        black_box(read.as_ref().map(serde_json::to_string).is_ok());
    })?;
    if n > 0 && read.map_err(failed)? != entries {
        return Err(Error::Invalid("the document is another".into()));
    }
    Ok(())
}
