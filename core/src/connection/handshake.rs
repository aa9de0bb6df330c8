//! The handshake by which two programs that never met know that both have the key, before either
//! trusts a message.
//!
//! ```text
//! listener -> client    MAGIC, 32 random bytes L
//! client -> listener    32 random bytes C, proof(client)
//! listener -> client    proof(listener), or a message of another length: refused
//!
//! proof(role) = HMAC-SHA256(key, DOMAIN, role, L, C)
//! ```
//!
//! Both random values are in both proofs, so that neither is worth anything in another connection.
//! The role is in them, so that a peer cannot answer a challenge by having us answer it: a proof that
//! one side makes is never one that the same side accepts. All parts but the key have fixed lengths.
//!
//! The client proves itself first, so a listener says nothing that depends on the key to those who
//! do not have it. What follows the handshake is neither secret nor signed: it is for transports that
//! stay on one machine.

use crate::random::Random;
use crate::raw::RawConnection;
use crate::time::{Clock, Deadline};
use crate::{Context, Error, Result, Wait};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;

/// The first message begins with this; another version would begin differently.
const MAGIC: &[u8; 16] = b"procbox-conn-1\r\n";
/// Sets these proofs apart from whatever else is signed with the same key.
const DOMAIN: &[u8; 32] = b"procbox connection handshake 1\0\0";
const NONCE: usize = 32;
const PROOF: usize = 32;
/// No message of a handshake is longer.
const LONGEST: usize = 128;

type Nonce = [u8; NONCE];

/// The side that makes a proof.
#[derive(Clone, Copy)]
enum Role {
    Listener = 1,
    Client = 2,
}

fn mac(key: &[u8], role: Role, listener: &Nonce, client: &Nonce) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| Error::Invalid("the authkey has a length that HMAC does not take".into()))?;
    mac.update(DOMAIN);
    mac.update(&[role as u8]);
    mac.update(listener);
    mac.update(client);
    Ok(mac)
}

/// The context's clock and randomness, which a handshake needs besides the connection.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

impl Sources {
    pub(super) fn of(ctx: &Context) -> Sources {
        Sources { clock: ctx.clock(), random: ctx.raw().random() }
    }
}

fn nonce(random: &dyn Random) -> Result<Nonce> {
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce)?;
    Ok(nonce)
}

/// During a handshake, whatever the peer does wrong has one name.
fn refused(error: Error) -> Error {
    match error {
        Error::TimedOut => Error::AuthenticationFailed("it was silent"),
        Error::Closed => Error::AuthenticationFailed("it went away"),
        Error::TooLarge { .. } => Error::AuthenticationFailed("it does not speak the protocol"),
        other => other,
    }
}

fn recv(peer: &dyn RawConnection, until: Deadline, clock: &dyn Clock) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    peer.recv(&mut message, LONGEST, until.wait(clock)).map_err(refused)?;
    Ok(message)
}

fn send(
    peer: &dyn RawConnection,
    parts: &[&[u8]],
    until: Deadline,
    clock: &dyn Clock,
) -> Result<()> {
    peer.send(&parts.concat(), until.wait(clock)).map_err(refused)
}

/// The listener's side.
///
/// # Errors
/// [`Error::AuthenticationFailed`] if the peer does not prove before `until` that it has the key;
/// [`Error::Interrupted`], [`Error::Os`].
pub(super) fn admit(
    peer: &dyn RawConnection,
    key: &[u8],
    until: Deadline,
    from: &Sources,
) -> Result<()> {
    let clock = &*from.clock;
    let ours = nonce(&*from.random)?;
    send(peer, &[MAGIC, &ours], until, clock)?;
    let answer = recv(peer, until, clock)?;
    let proved = match answer.split_first_chunk::<NONCE>() {
        Some((theirs, proof)) if proof.len() == PROOF => {
            // Compares in constant time.
            let right = mac(key, Role::Client, &ours, theirs)?.verify_slice(proof).is_ok();
            right.then_some(theirs).ok_or("it has another key")
        }
        _ => Err("it does not speak the protocol"),
    };
    match proved {
        Ok(theirs) => {
            let proof = mac(key, Role::Listener, &ours, theirs)?.finalize().into_bytes();
            send(peer, &[&proof], until, clock)
        }
        Err(why) => {
            // So that it need not wait; if it does not listen it is refused all the same.
            let _ = send(peer, &[], until, clock);
            Err(Error::AuthenticationFailed(why))
        }
    }
}

/// The client's side.
///
/// # Errors
/// Those of [`admit`], and [`Error::TimedOut`] if the listener does not turn to it before `until`.
/// From then on there is `limit` for the rest.
pub(super) fn apply(
    peer: &dyn RawConnection,
    key: &[u8],
    until: Deadline,
    limit: Duration,
    from: &Sources,
) -> Result<()> {
    let clock = &*from.clock;
    let mut hello = Vec::new();
    // The others before this client may take their time.
    match peer.recv(&mut hello, LONGEST, until.wait(clock)) {
        Err(Error::TimedOut) => return Err(Error::TimedOut),
        heard => heard.map_err(refused)?,
    }
    let until = until.min(Wait::AtMost(limit).deadline(clock));
    let theirs: &Nonce = hello
        .strip_prefix(MAGIC)
        .and_then(|nonce| nonce.try_into().ok())
        .ok_or(Error::AuthenticationFailed("it does not speak the protocol"))?;
    let ours = nonce(&*from.random)?;
    let proof = mac(key, Role::Client, theirs, &ours)?.finalize().into_bytes();
    send(peer, &[&ours, &proof], until, clock)?;
    let answer = recv(peer, until, clock)?;
    if answer.len() != PROOF {
        return Err(Error::AuthenticationFailed("it refused the key"));
    }
    mac(key, Role::Listener, theirs, &ours)?
        .verify_slice(&answer)
        .map_err(|_| Error::AuthenticationFailed("it has another key"))
}

#[cfg(test)]
mod tests;
