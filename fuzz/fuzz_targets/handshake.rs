//! A client without the key, which says anything: it is never let in, and the next one with the key is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procbox::{Context, Error, Listener, Native};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

const KEY: &[u8] = b"a key that the fuzzer does not have";
const PATIENCE: Duration = Duration::from_secs(10);

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("procbox-fuzz-{}.socket", std::process::id()))
}

static ENDS: LazyLock<(Context, Listener)> = LazyLock::new(|| {
    let ends = || {
        let ctx = Native::builder().build()?;
        let listener = ctx.listen(path().as_path(), KEY)?;
        Ok::<_, Error>((ctx, listener.handshake_timeout(PATIENCE)))
    };
    match ends() {
        Ok(ends) => ends,
        Err(e) => panic!("{e}"),
    }
});

fuzz_target!(|said: &[u8]| {
    let (ctx, listener) = &*ENDS;
    let client = UnixStream::connect(path());
    let Ok(mut client) = client else { panic!("{client:?}") };
    let _ = client.write_all(said);
    let _ = client.shutdown(Shutdown::Write);
    let refused = listener.accept_timeout::<u32>(PATIENCE).err();
    assert!(
        refused.is_some_and(|why| why != Error::TimedOut),
        "it was let in, or held the listener"
    );
    std::thread::scope(|scope| {
        let connected = scope.spawn(|| ctx.connect_timeout::<u32>(path().as_path(), KEY, PATIENCE));
        assert!(listener.accept_timeout::<u32>(PATIENCE).is_ok());
        assert!(connected.join().is_ok_and(|connection| connection.is_ok()));
    });
});
