//! What `wasmtime` makes of the interfaces: traits to be implemented, and types.
//!
//! The types are public in it alone: that is what it is made to have.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]

/// A lock's resource.
pub struct Lock;
/// A semaphore's.
pub struct Semaphore;
/// An event's.
pub struct Event;
/// A queue's.
pub struct Queue;
/// A pipe end's.
pub struct Pipe;

wasmtime::component::bindgen!({
    path: "wit",
    world: "worker",
    imports: {
        "procbox:worker/primitives.[method]lock.acquire": async | trappable,
        "procbox:worker/primitives.[method]semaphore.acquire": async | trappable,
        "procbox:worker/primitives.[method]event.wait": async | trappable,
        "procbox:worker/primitives.[method]queue.put": async | trappable,
        "procbox:worker/primitives.[method]queue.get": async | trappable,
        "procbox:worker/primitives.[method]pipe.send": async | trappable,
        "procbox:worker/primitives.[method]pipe.recv": async | trappable,
        "procbox:worker/log.log": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "procbox:worker/primitives.lock": Lock,
        "procbox:worker/primitives.semaphore": Semaphore,
        "procbox:worker/primitives.event": Event,
        "procbox:worker/primitives.queue": Queue,
        "procbox:worker/primitives.pipe": Pipe,
    },
});
