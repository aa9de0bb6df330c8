//! Workers that post to a main loop, and such that listen.

use procbox_guest::prelude::*;
use procbox_guest::{Connection, Poster};

#[worker]
fn asks_main(main: Poster<String>, times: u32, code: i32) -> Result<()> {
    (0..times).try_for_each(|i| main.post(&i.to_string()))?;
    main.exit(code)
}

#[worker]
fn calls_main(main: Poster<(u32, u32)>, who: u32, times: u32) -> Result<()> {
    (0..times).try_for_each(|n| main.post(&(who, n)))
}

#[worker]
fn puts_garbage(not_a_queue_of_this: Queue<Bytes>) -> Result<()> {
    not_a_queue_of_this.put(&Bytes(vec![0xff; 9]))
}

#[worker]
fn echoes_to_strangers(
    name: String,
    key: Bytes,
    ready: Event,
    refused: Queue<String>,
) -> Result<()> {
    let listener = procbox_guest::context()?.listen(name, &key)?;
    ready.set();
    loop {
        match listener.accept::<Bytes>() {
            Ok(client) => echo(&client)?,
            Err(e @ Error::AuthenticationFailed(_)) => refused.put(&e.to_string())?,
            Err(e) => return Err(e),
        }
    }
}

#[worker]
fn puts_and_then_connects(q: Queue<u32>, address: String, go: Queue<u32>) -> Result<()> {
    q.put(&1)?;
    go.get()?;
    // It is refused, which is the listener's to say.
    let _ = procbox_guest::context()?.connect::<Bytes>(address, b"another key");
    Ok(())
}

fn echo(client: &Connection<Bytes>) -> Result<()> {
    loop {
        match client.recv() {
            Ok(message) => client.send(&message)?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}
