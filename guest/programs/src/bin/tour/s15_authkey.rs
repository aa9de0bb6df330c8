//! A listener and a client that share nothing but an address and a key: each proves to the other
//! that it has the key, without saying it. One without is refused, and the listener goes on.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn serves(address: String, key: Bytes, clients: u32, out: Queue<String>) -> Result<()> {
    let listener = procbox_guest::context()?.listen(address, &key)?;
    out.put("listening")?;
    for _ in 0..clients {
        let served = match listener.accept::<String>() {
            Ok(client) => {
                let said = client.recv()?;
                client.send(&said.to_uppercase())?;
                format!("let in; it said {said}")
            }
            Err(e @ Error::AuthenticationFailed(_)) => e.to_string(),
            Err(e) => return Err(e),
        };
        out.put(&served)?;
    }
    Ok(())
}

#[worker]
fn comes(address: String, key: Bytes, out: Queue<String>) -> Result<()> {
    let came = match procbox_guest::context()?.connect::<String>(address, &key) {
        Ok(server) => {
            server.send("hello")?;
            format!("let in; it said {}", server.recv()?)
        }
        Err(e @ Error::AuthenticationFailed(_)) => e.to_string(),
        Err(e) => return Err(e),
    };
    out.put(&came)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    // Natively names are the whole machine's.
    let address = format!("tour-{}", ctx.current_process().pid);
    let right = ctx.current_process().authkey;
    let wrong = Bytes(b"just a guess".to_vec());
    println!("main: my processes inherit a key of {} bytes", right.len());
    let (of_server, of_client) = (ctx.queue::<String>(8)?, ctx.queue::<String>(8)?);
    let server = ctx.process(serves).args((&address, &right, 3, &of_server)).start()?;
    println!("server: {}", of_server.get()?);
    for (who, key) in [("a client", &right), ("one that guesses", &wrong), ("the next", &right)] {
        ctx.process(comes).args((&address, key, &of_client)).start()?.join()?;
        println!("{who}: {}", of_client.get()?);
        println!("server: {}", of_server.get()?);
    }
    println!("main: the server {}", server.join()?);
    match ctx.connect::<String>(address, &right) {
        Err(Error::ConnectionRefused(_)) => println!("main: now nobody listens there"),
        other => println!("main: {other:?}"),
    }
    Ok(())
}
