//! Sockets of all kinds, and peers that do not keep to frames.

use super::listener::SPACE;
use super::*;
use crate::Native;
use procbox_core::{Address, Bytes, Context, Listener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;
use std::thread::spawn;

const KEY: &[u8] = b"key";
const SHORT: Duration = Duration::from_millis(50);

fn context() -> Context {
    Native::builder().build().unwrap()
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("procbox-test-{name}-{}", std::process::id()))
}

fn name(name: &str) -> String {
    format!("test-{name}-{}", std::process::id())
}

/// One client says something, and it comes back.
fn echoes(ctx: &Context, listener: &Listener) {
    let address = listener.address().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = listener.accept::<String>().unwrap();
            client.send(&client.recv().unwrap()).unwrap();
        });
        let server = ctx.connect::<String>(&address, KEY).unwrap();
        server.send("hello").unwrap();
        assert_eq!(server.recv().unwrap(), "hello");
        assert_eq!(server.recv(), Err(Error::Closed));
    });
}

/// A raw socket that the listener on a name takes for a client.
fn raw_client(name: &str) -> UnixStream {
    let at = SocketAddr::from_abstract_name(format!("{SPACE}{name}")).unwrap();
    UnixStream::connect_addr(&at).unwrap()
}

#[test]
fn every_kind_of_address_works() {
    let ctx = context();
    let path = path("kinds");
    for address in [name("kinds").into(), path.clone().into(), ([127, 0, 0, 1], 0).into()] {
        let listener = ctx.listen(&address, KEY).unwrap();
        echoes(&ctx, &listener);
        if !matches!(address, Address::Tcp(_)) {
            let again = ctx.listen(&address, KEY).map(drop);
            assert_eq!(again, Err(Error::AddressInUse(address.to_string())));
        }
        let real = listener.address().clone();
        drop(listener);
        let refused = ctx.connect::<()>(&real, KEY).map(drop);
        assert_eq!(refused, Err(Error::ConnectionRefused(real.to_string())));
    }
    assert!(!path.exists());
}

#[test]
fn what_is_not_on_this_machine_is_refused() {
    let ctx = context();
    assert!(matches!(ctx.listen(([0, 0, 0, 0], 0), KEY), Err(Error::Invalid(_))));
    assert!(matches!(ctx.listen("a".repeat(91), KEY), Err(Error::Invalid(_))));
    assert!(matches!(ctx.listen("", KEY), Err(Error::Invalid(_))));
    assert!(matches!(ctx.listen("x", b""), Err(Error::Invalid(_))));
}

#[test]
fn bad_clients_are_refused_and_the_listener_goes_on() {
    let ctx = context();
    let name = name("bad");
    let listener = ctx.listen(&*name, KEY).unwrap().handshake_timeout(SHORT);
    let refused = |why| Err(Error::AuthenticationFailed(why));
    let _silent = raw_client(&name);
    assert_eq!(listener.accept::<()>().map(drop), refused("it was silent"));
    let mut garbage = raw_client(&name);
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").unwrap();
    assert_eq!(listener.accept::<()>().map(drop), refused("it does not speak the protocol"));
    // It announces a frame and sends half of it.
    let mut half = raw_client(&name);
    half.write_all(&[64, 0, 0, 0, 1, 2, 3]).unwrap();
    assert_eq!(listener.accept::<()>().map(drop), refused("it was silent"));
    drop(raw_client(&name));
    assert_eq!(listener.accept::<()>().map(drop), refused("it went away"));
    echoes(&ctx, &listener);
    assert_eq!(listener.try_accept::<()>().map(drop), Err(Error::TimedOut));
    assert_eq!(listener.accept_timeout::<()>(SHORT).map(drop), Err(Error::TimedOut));
}

/// Two ends of a connection, without a handshake.
fn pair() -> (Arc<dyn RawConnection>, Arc<dyn RawConnection>) {
    let (a, b) = UnixStream::pair().unwrap();
    (Socket::Unix(a).connection().unwrap(), Socket::Unix(b).connection().unwrap())
}

#[test]
fn large_messages_cross() {
    let (a, b) = pair();
    let message = Bytes((0..20 << 20).map(|i| (i % 251) as u8).collect());
    let expected = message.clone();
    let other = spawn(move || {
        let mut received = Vec::new();
        b.send(&message, Wait::Forever).unwrap();
        b.recv(&mut received, MAX_MESSAGE, Wait::Forever).unwrap();
        received == message.0
    });
    // Both send first: neither gets on unless sending in part counts.
    a.send(&expected, Wait::AtMost(SHORT)).unwrap();
    assert_eq!(a.send(b"more", Wait::Never), Err(Error::TimedOut));
    let mut received = Vec::new();
    a.recv(&mut received, MAX_MESSAGE, Wait::Forever).unwrap();
    assert!(received == expected.0);
    drop(a);
    assert!(other.join().unwrap());
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection() {
    let (mut peer, ours) = UnixStream::pair().unwrap();
    let ours = Socket::Unix(ours).connection().unwrap();
    peer.write_all(&u32::MAX.to_le_bytes()).unwrap();
    let mut message = Vec::new();
    assert_eq!(ours.poll(Wait::Forever), Ok(()));
    let size = u32::MAX as usize;
    for _ in 0..2 {
        let recv = ours.recv(&mut message, 100, Wait::Forever);
        assert_eq!(recv, Err(Error::TooLarge { size, limit: 100 }));
    }
}
