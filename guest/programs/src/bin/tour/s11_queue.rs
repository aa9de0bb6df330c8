//! A queue between processes: put without waiting, join, get; and what a full and an empty one say,
//! at once and after a while.

use crate::Shown;
use procbox_guest::prelude::*;
use std::time::{Duration, Instant};

#[worker]
fn puts(q: Queue<String>, messages: Vec<String>) -> Result<()> {
    messages.iter().try_for_each(|message| q.try_put(message))
}

const A_WHILE: Duration = Duration::from_millis(100);

/// What a call that is meant to wait a while says.
fn after_a_while<T>(call: impl FnOnce(Duration) -> Result<T>) -> String {
    let began = Instant::now();
    let said = call(A_WHILE).map_or_else(|e| e.to_string(), |_| "nothing".into());
    format!("{said} (waited: {})", began.elapsed() >= A_WHILE)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let q = ctx.queue::<String>(3)?;
    let messages: Vec<String> = ["one", "two", "three"].map(String::from).into();
    ctx.process(puts).args((&q, messages)).start()?.join()?;
    println!("main: {} messages, full: {}", q.len(), q.is_full());
    if let Err(e) = q.try_put("four") {
        println!("main: put at once: {e}");
    }
    println!("main: put for 0.1 s: {}", after_a_while(|t| q.put_timeout("four", t)));
    while !q.is_empty() {
        println!("main: got {}", q.get()?);
    }
    if let Err(e) = q.try_get() {
        println!("main: get at once: {e}");
    }
    println!("main: get for 0.1 s: {}", after_a_while(|t| q.get_timeout(t)));
    q.close();
    if let Err(e) = q.get() {
        println!("main: get after close: {e}");
    }
    Ok(())
}
