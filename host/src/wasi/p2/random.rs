//! `wasi:random`: the runtime's random bytes.
//!
//! Written here because wasmtime-wasi's generators cannot fail, and the runtime's source can: then the
//! process is ended. Many bytes are made in pieces, between which it gives its thread back.

use crate::state::State;
use crate::wasi::random::{MOST, PIECE, give_way};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// The newest version of these interfaces that guests may ask for; older ones of 0.2 are the same.
const VERSION: &str = "0.2.12";

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (interface, bytes, number) in [
        ("random", "get-random-bytes", "get-random-u64"),
        ("insecure", "get-insecure-random-bytes", "get-insecure-random-u64"),
    ] {
        let mut instance = linker.instance(&format!("wasi:random/{interface}@{VERSION}"))?;
        instance.func_wrap_async(bytes, |store: StoreContextMut<'_, State>, (len,): (u64,)| {
            Box::new(async move { random(store, len).await.map(|bytes| (bytes,)) })
        })?;
        instance.func_wrap(number, |store: StoreContextMut<'_, State>, ()| {
            Ok((u64::from_le_bytes(few(&store)?),))
        })?;
    }
    let mut instance = linker.instance(&format!("wasi:random/insecure-seed@{VERSION}"))?;
    instance.func_wrap("insecure-seed", |store: StoreContextMut<'_, State>, ()| {
        let seed = || few(&store).map(u64::from_le_bytes);
        Ok(((seed()?, seed()?),))
    })
}

fn failed(error: procbox_core::Error) -> wasmtime::Error {
    wasmtime::Error::msg(error.to_string())
}

fn few(store: &StoreContextMut<'_, State>) -> wasmtime::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    let state = store.data();
    state.work.wasi();
    state.runtime().random().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

async fn random(mut store: StoreContextMut<'_, State>, len: u64) -> wasmtime::Result<Vec<u8>> {
    let state = store.data_mut();
    state.work.wasi();
    let Some(len) = usize::try_from(len).ok().filter(|len| *len <= MOST as usize) else {
        let why = format!("it asks for {len} random bytes at once, and {MOST} are the most");
        return Err(wasmtime::Error::msg(why));
    };
    let _charge = state.account().charge(len).map_err(failed)?;
    let mut bytes = vec![0; len];
    let mut begun = false;
    for piece in bytes.chunks_mut(PIECE) {
        if std::mem::replace(&mut begun, true) {
            give_way().await;
        }
        state.work.bytes(piece.len());
        state.runtime().random().fill(piece).map_err(failed)?;
    }
    Ok(bytes)
}
