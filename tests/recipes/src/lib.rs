//! Small programs, in `src/bin`, each for one thing. Where a page of the documentation shows code, it
//! is a piece of one of these. `tests/recipes.rs` runs them, natively and where they can in the
//! sandbox, and compares what they print with what stands behind `// prints`.
