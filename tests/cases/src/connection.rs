//! Listeners and connections.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bytes, Connection, Context, Error, Event, Process, Queue, Wait, ready};
use std::sync::atomic::{AtomicU32, Ordering};

const KEY: &[u8] = b"a key";

/// A name that no other case has: natively names are the whole machine's.
fn name(ctx: &Context) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("case-{}-{number}-{}", ctx.backend(), ctx.current_process().pid)
}

/// A worker that listens and sends back what each client says, until it is ended.
fn echoes(ctx: &Context) -> anyhow::Result<(String, Process, Queue<String>)> {
    let (name, refused) = (name(ctx), ctx.queue(16)?);
    let (key, ready) = (Bytes(KEY.to_vec()), ctx.event()?);
    let worker = ctx.process("echoes_to_strangers").args((&name, &key, &ready, &refused));
    let p = worker.daemon(true).start()?;
    ready.wait()?;
    Ok((name, p, refused))
}

fn says(server: &Connection<Bytes>, message: &[u8]) -> Verdict {
    server.send(&Bytes(message.to_vec()))?;
    ensure!(server.recv()?.0 == message, "it did not come back as it was");
    Ok(())
}

pub(crate) fn strangers_with_the_key_talk(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    let server = ctx.connect(&*name, KEY)?;
    says(&server, b"hello")?;
    says(&server, b"")?;
    refused(server.try_recv(), Error::TimedOut)?;
    refused(runs_out(|t| server.recv_timeout(t))?, Error::TimedOut)?;
    Ok(p.kill()?)
}

pub(crate) fn ready_waits_for_connections_and_listeners_too(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    let server = ctx.connect::<Bytes>(&*name, KEY)?;
    let (q, go) = (ctx.queue::<u32>(1)?, ctx.queue::<u32>(1)?);
    let listener = ctx.listen(&*self::name(ctx), KEY)?;
    let sockets = [server.waitable(), listener.waitable()];
    let all = [server.waitable(), q.waitable(), listener.waitable(), go.waitable()];
    let others = [p.sentinel()?, server.waitable(), listener.waitable()];
    for those in [&sockets[..], &all[..], &others[..]] {
        refused(ready(ctx, those, Wait::Never), Error::TimedOut)?;
        refused(runs_out(|t| ready(ctx, those, Wait::AtMost(t)))?, Error::TimedOut)?;
        server.send(&Bytes(b"hello".to_vec()))?;
        let found = ready(ctx, those, Wait::Forever)?;
        ensure!(found.len() == 1, "{found:?}");
        same(&server.recv()?.0[..], b"hello")?;
    }
    // What comes late wakes those who wait for it.
    let address = listener.address().clone();
    let late = ctx.process("puts_and_then_connects").args((&q, address.to_string(), &go));
    let late = late.daemon(true).start()?;
    same(ready(ctx, &all, Wait::Forever)?, [1])?;
    same(q.get()?, 1)?;
    go.put(&1)?;
    same(ready(ctx, &all[..3], Wait::Forever)?, [2])?;
    same(ready(ctx, &sockets, Wait::Forever)?, [1])?;
    refused(listener.accept::<Bytes>(), Error::AuthenticationFailed("it has another key"))?;
    late.join()?;
    // The end of a peer is something to receive, and the end of a process to wait for.
    p.kill()?;
    let mut found = Vec::new();
    until(|| {
        found = ready(ctx, &others, Wait::Forever).unwrap_or_default();
        found.len() == 2
    });
    same(found, [0, 1])?;
    refused(server.recv(), Error::Closed)
}

pub(crate) fn ready_sees_the_end_of_a_process_beside_sockets(ctx: &Context) -> Verdict {
    let listener = ctx.listen(&*name(ctx), KEY)?;
    let (q, never) = (ctx.queue::<u32>(1)?, ctx.event()?);
    for queues in [vec![], vec![q.waitable()]] {
        let p = ctx.process("blocks").args((&ctx.event()?, &never)).timeout(SHORT).start()?;
        let those = [vec![p.sentinel()?, listener.waitable()], queues].concat();
        same(ready(ctx, &those, Wait::Forever)?, [0])?;
    }
    Ok(())
}

pub(crate) fn a_wrong_key_is_refused_on_both_sides(ctx: &Context) -> Verdict {
    let (name, p, reasons) = echoes(ctx)?;
    let wrong = ctx.connect::<Bytes>(&*name, b"another key").map(drop);
    refused(wrong, Error::AuthenticationFailed("it refused the key"))?;
    same(reasons.get()?, Error::AuthenticationFailed("it has another key").to_string())?;
    let empty = ctx.connect::<Bytes>(&*name, b"").map_err(|e| matches!(e, Error::Invalid(_)));
    ensure!(matches!(empty, Err(true)));
    Ok(p.kill()?)
}

pub(crate) fn a_refused_client_leaves_the_listener_as_it_was(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    for _ in 0..5 {
        ensure!(ctx.connect::<Bytes>(&*name, b"another key").is_err());
        says(&ctx.connect(&*name, KEY)?, b"hello")?;
    }
    Ok(p.kill()?)
}

pub(crate) fn a_message_of_a_mebibyte_crosses(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    let server = ctx.connect(&*name, KEY)?;
    let message: Vec<u8> = (0..1u32 << 20).map(|i| (i % 251) as u8).collect();
    says(&server, &message)?;
    Ok(p.kill()?)
}

pub(crate) fn a_name_is_taken_once_and_free_afterwards(ctx: &Context) -> Verdict {
    let name = name(ctx);
    let listener = ctx.listen(&*name, KEY)?;
    refused(ctx.listen(&*name, KEY), Error::AddressInUse(name.clone()))?;
    drop(listener);
    ctx.listen(&*name, KEY)?;
    Ok(())
}

pub(crate) fn a_listener_that_is_killed_frees_its_name(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    p.kill()?;
    same(exitcode(&p)?, -9)?;
    ctx.listen(&*name, KEY)?;
    Ok(())
}

pub(crate) fn a_killed_peer_is_gone(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    let server = ctx.connect::<Bytes>(&*name, KEY)?;
    says(&server, b"hello")?;
    p.kill()?;
    refused(server.recv(), Error::Closed)
}

pub(crate) fn a_wait_for_a_client_runs_out(ctx: &Context) -> Verdict {
    let listener = ctx.listen(name(ctx), KEY)?;
    refused(listener.try_accept::<Bytes>(), Error::TimedOut)?;
    refused(runs_out(|t| listener.accept_timeout::<Bytes>(t))?, Error::TimedOut)?;
    // Nobody turns to this client.
    let waits = |t| ctx.connect_timeout::<Bytes>(listener.address(), KEY, t);
    refused(runs_out(waits)?, Error::TimedOut)
}

pub(crate) fn a_client_of_nobody_is_refused(ctx: &Context) -> Verdict {
    let name = name(ctx);
    let refusal = Error::ConnectionRefused(name.clone());
    refused(ctx.connect::<Bytes>(&*name, KEY), refusal.clone())?;
    drop(ctx.listen(&*name, KEY)?);
    refused(ctx.connect::<Bytes>(&*name, KEY), refusal)
}

pub(crate) fn handles_do_not_cross_a_connection(ctx: &Context) -> Verdict {
    let (name, p, _) = echoes(ctx)?;
    let server = ctx.connect::<Event>(&*name, KEY)?;
    refused(server.send(&ctx.event()?), Error::ForeignHandle)?;
    Ok(p.kill()?)
}
