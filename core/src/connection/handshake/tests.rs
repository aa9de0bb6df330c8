//! The handshake over pairs of channels, with peers that do what they should not.

use super::*;
use crate::random::SystemRandom;
use crate::time::SystemClock;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::spawn;

type Bytes = Vec<u8>;

/// One end of a connection in memory. `poll` is `recv` without taking.
struct End {
    to: Sender<Bytes>,
    from: Mutex<(Receiver<Bytes>, Option<Bytes>)>,
}

fn pair() -> (End, End) {
    let ((to_a, a), (to_b, b)) = (channel(), channel());
    let end = |to, from| End { to, from: Mutex::new((from, None)) };
    (end(to_b, a), end(to_a, b))
}

impl RawConnection for End {
    fn send(&self, bytes: &[u8], _: Wait) -> Result<()> {
        self.to.send(bytes.to_vec()).map_err(|_| Error::Closed)
    }

    fn recv(&self, into: &mut Bytes, most: usize, wait: Wait) -> Result<()> {
        self.poll(wait)?;
        *into = self.from.lock().unwrap().1.take().unwrap();
        if into.len() > most {
            return Err(Error::TooLarge { size: into.len(), limit: most });
        }
        Ok(())
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        let mut from = self.from.lock().unwrap();
        if from.1.is_none() {
            let limit = wait
                .deadline(&SystemClock)
                .remaining(&SystemClock)
                .unwrap_or(Duration::from_secs(60));
            let taken = from.0.recv_timeout(limit).map_err(|e| match e {
                RecvTimeoutError::Timeout => Error::TimedOut,
                RecvTimeoutError::Disconnected => Error::Closed,
            })?;
            from.1 = Some(taken);
        }
        Ok(())
    }
}

const PATIENT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

fn system() -> Sources {
    Sources { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) }
}

fn admits(peer: &End, key: &[u8], until: Deadline) -> Result<()> {
    admit(peer, key, until, &system())
}

fn applies(peer: &End, key: &[u8], until: Deadline, limit: Duration) -> Result<()> {
    apply(peer, key, until, limit, &system())
}

fn soon() -> Deadline {
    Wait::AtMost(PATIENT).deadline(&SystemClock)
}

/// Both sides with their keys; what the listener and the client come to.
fn meet(listener: &'static [u8], client: &'static [u8]) -> (Result<()>, Result<()>) {
    let (a, b) = pair();
    let client = spawn(move || applies(&b, client, soon(), PATIENT));
    (admits(&a, listener, soon()), client.join().unwrap())
}

/// A listener whose client does this with the first message.
fn admit_one_that(answers: impl FnOnce(&End, Bytes)) -> Result<()> {
    let (a, b) = pair();
    let listener = spawn(move || admits(&a, b"key", soon()));
    let mut hello = Vec::new();
    b.recv(&mut hello, 1000, Wait::Forever).unwrap();
    answers(&b, hello);
    listener.join().unwrap()
}

fn failed(why: &'static str) -> Result<()> {
    Err(Error::AuthenticationFailed(why))
}

#[test]
fn the_same_key_lets_in() {
    assert_eq!(meet(b"key", b"key"), (Ok(()), Ok(())));
    assert_eq!(meet(&[7; 1000], &[7; 1000]), (Ok(()), Ok(())));
}

#[test]
fn another_key_is_refused_on_both_sides() {
    let refused = (failed("it has another key"), failed("it refused the key"));
    assert_eq!(meet(b"key", b"kez"), refused);
    assert_eq!(meet(b"key", b"key and more"), refused);
}

#[test]
fn a_silent_client_is_refused_in_time() {
    let (a, _b) = pair();
    assert_eq!(
        admits(&a, b"key", Wait::AtMost(SHORT).deadline(&SystemClock)),
        failed("it was silent")
    );
}

#[test]
fn a_client_that_goes_away_is_refused() {
    let (a, b) = pair();
    drop(b);
    assert_eq!(admits(&a, b"key", soon()), failed("it went away"));
}

#[test]
fn garbage_is_refused() {
    let no_protocol = failed("it does not speak the protocol");
    let cases: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\n\r\n", &[0; 63], &[0; 65], &[0; 4096]];
    for garbage in cases {
        let ended = admit_one_that(|client, _| client.send(garbage, Wait::Forever).unwrap());
        assert_eq!(ended, no_protocol, "{} bytes", garbage.len());
    }
    let ended = admit_one_that(|client, _| client.send(&[0; 64], Wait::Forever).unwrap());
    assert_eq!(ended, failed("it has another key"));
}

#[test]
fn a_proof_cannot_be_used_again() {
    let (a, b) = pair();
    let client = spawn(move || applies(&b, b"key", soon(), PATIENT));
    // Somebody in the middle writes down what an honest client says.
    let (x, y) = pair();
    let listener = spawn(move || admits(&x, b"key", soon()));
    let mut message = Vec::new();
    y.recv(&mut message, 1000, Wait::Forever).unwrap();
    a.send(&message, Wait::Forever).unwrap();
    let mut recorded = Vec::new();
    a.recv(&mut recorded, 1000, Wait::Forever).unwrap();
    y.send(&recorded, Wait::Forever).unwrap();
    assert_eq!(listener.join().unwrap(), Ok(()));
    drop(a);
    assert_eq!(client.join().unwrap(), failed("it went away"));
    // In another connection it is worth nothing.
    let ended = admit_one_that(|client, _| client.send(&recorded, Wait::Forever).unwrap());
    assert_eq!(ended, failed("it has another key"));
}

#[test]
fn a_listener_that_reflects_proves_nothing() {
    // It has no key, and sends the client's own proof back as its own.
    let (a, b) = pair();
    let client = spawn(move || applies(&b, b"key", soon(), PATIENT));
    a.send(&[&MAGIC[..], &[9; NONCE]].concat(), Wait::Forever).unwrap();
    let mut answer = Vec::new();
    a.recv(&mut answer, 1000, Wait::Forever).unwrap();
    a.send(&answer[NONCE..], Wait::Forever).unwrap();
    assert_eq!(client.join().unwrap(), failed("it has another key"));
}

#[test]
fn a_client_cannot_have_its_challenge_answered_by_another_listener() {
    // It has no key. It gets a challenge from one listener and passes it on to another as its own
    // half of the answer; what that one says back is for the other role.
    let ended = admit_one_that(|client, hello| {
        let challenge = &hello[MAGIC.len()..];
        let second = admit_one_that(|other, _| {
            other.send(&[challenge, &[0; PROOF]].concat(), Wait::Forever).unwrap();
            let mut said = Vec::new();
            other.recv(&mut said, 1000, Wait::Forever).unwrap();
            // Nothing that depends on the key was said.
            assert!(said.is_empty());
        });
        assert_eq!(second, failed("it has another key"));
        client.send(&[challenge, &[0; PROOF]].concat(), Wait::Forever).unwrap();
    });
    assert_eq!(ended, failed("it has another key"));
}

#[test]
fn a_listener_that_is_silent_or_speaks_otherwise_is_refused() {
    let (_a, b) = pair();
    assert_eq!(
        applies(&b, b"key", Wait::AtMost(SHORT).deadline(&SystemClock), SHORT),
        Err(Error::TimedOut)
    );
    let (a, b) = pair();
    a.send(&[&MAGIC[..], &[9; NONCE]].concat(), Wait::Forever).unwrap();
    assert_eq!(applies(&b, b"key", soon(), SHORT), failed("it was silent"));
    let (a, b) = pair();
    a.send(b"220 mail.example.com ESMTP\r\n", Wait::Forever).unwrap();
    assert_eq!(applies(&b, b"key", soon(), SHORT), failed("it does not speak the protocol"));
}
