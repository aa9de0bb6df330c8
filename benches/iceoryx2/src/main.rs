//! Messages from one process to another by iceoryx2: `procbox-bench-iceoryx2 SIZE N` prints how many
//! nanoseconds `N` of them took, each written in place and read in place.
//!
//! Nothing is lost: with as many on the way as there may be, the producer tries again. Who waits polls, as
//! iceoryx2 has it; it gives the processor away while there is nothing.

use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;
use std::error::Error;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Messages on the way, at most; as many as procbox's queue has in the same group.
fn queued(size: usize) -> usize {
    if size <= 4096 { 1024 } else { 16 }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [size, n] => consume(size.parse()?, n.parse()?),
        ["produce", name, size, n] => produce(name, size.parse()?, n.parse()?),
        _ => Err("procbox-bench-iceoryx2 SIZE N".into()),
    }
}

/// A service of this name, on which nothing is lost.
macro_rules! service {
    ($node:expr, $name:expr, $size:expr) => {
        $node
            .service_builder(&$name.try_into()?)
            .publish_subscribe::<[u8]>()
            .subscriber_max_buffer_size(queued($size))
            .enable_safe_overflow(false)
            .history_size(0)
            .open_or_create()?
    };
}

fn consume(size: usize, n: u64) -> Result<(), Box<dyn Error>> {
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let name = format!("procbox-bench-{}", std::process::id());
    let service = service!(node, name.as_str(), size);
    let subscriber = service.subscriber_builder().buffer_size(queued(size)).create()?;
    let mut producer = Command::new(std::env::current_exe()?)
        .args(["produce", &name, &size.to_string(), &(n + 1).to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    let get = || -> Result<(), Box<dyn Error>> {
        loop {
            if let Some(message) = subscriber.receive()? {
                let message = message.payload();
                black_box((message.first().copied(), message.last().copied()));
                return Ok(());
            }
            std::thread::yield_now();
        }
    };
    get()?;
    let began = Instant::now();
    for _ in 0..n {
        get()?;
    }
    println!("{}", began.elapsed().as_nanos());
    // The producer stays until nobody is left who reads what it has lent.
    drop(subscriber);
    let status = producer.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the producer: {status}").into()) }
}

fn produce(name: &str, size: usize, n: u64) -> Result<(), Box<dyn Error>> {
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = service!(node, name, size);
    let publisher = service
        .publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(BackpressureStrategy::DiscardData)
        .create()?;
    let contents = vec![7; size];
    publisher.update_connections()?;
    for _ in 0..n {
        // Its own way to wait for room sleeps for milliseconds; so what finds none is written again.
        while publisher.loan_slice_uninit(size)?.write_from_slice(&contents).send()? == 0 {
            std::thread::yield_now();
        }
    }
    // What is on the way goes with the publisher.
    while service.dynamic_config().number_of_subscribers() > 0 {
        std::thread::yield_now();
    }
    Ok(())
}
