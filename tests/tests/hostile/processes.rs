//! Guests that start processes.

use crate::frame::{Gets, make, worker};
use procbox::sandbox::Grants;

/// A worker that starts `attack` again and again, and then does this with the last code in `$code`.
fn starts(then: &str) -> String {
    format!(
        r#"(module
(import "procbox_1" "process_start" (func $start (param i32 i32 i32 i32 i32) (result i32)))
(memory (export "memory") 1)
(data (i32.const 64) "attack")
(func (export "procbox_worker_attack") (param i32) (result i32) (local $code i32)
  (i32.store (i32.const 0) (i32.const 1))
  (i32.store (i32.const 4) (i32.const 64))
  (i32.store (i32.const 8) (i32.const 6))
  (loop $next
    (local.set $code
      (call $start (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    {then})
  (i32.const 0)))"#
    )
}

#[test]
fn who_may_start_nothing_starts_nothing() {
    let text = starts("(br_if $next (i32.ge_s (local.get $code) (i32.const 0)))");
    let alone = Grants::default().processes(false);
    make([worker("a start without the right", text, Gets::Exits(0)).granted(alone)]);
}
