//! A load on the service: so many requests over so many connections, on this machine alone.

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// The service.
    #[arg(long, default_value = "127.0.0.1:8080")]
    at: SocketAddr,
    /// Requests in all.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Connections at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// The snippets' language.
    #[arg(long, value_enum, default_value_t = Language::Python)]
    language: Language,
    /// Every tenth is an endless loop.
    #[arg(long)]
    hostile: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Python,
    Javascript,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::Javascript => "javascript",
        }
    }

    /// A snippet that prints the square of a number.
    fn square(self, n: usize) -> String {
        match self {
            Language::Python => format!("print({n} ** 2)"),
            Language::Javascript => format!("print({n} ** 2)"),
        }
    }

    fn endless(self) -> &'static str {
        match self {
            Language::Python => "while True: pass",
            Language::Javascript => "for (;;);",
        }
    }
}

/// Sends the requests; each answer has to be right.
pub(crate) fn load(args: &LoadArgs) -> anyhow::Result<()> {
    ensure!(args.at.ip().is_loopback(), "--at {}: only this machine is loaded", args.at);
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let times = std::thread::scope(|scope| {
        let connections =
            (0..args.connections.max(1)).map(|_| scope.spawn(|| connection(args, &next)));
        let connections: Vec<_> = connections.collect();
        let mut times = Vec::new();
        for connection in connections {
            match connection.join() {
                Ok(own) => times.extend(own?),
                Err(_) => bail!("a connection's thread panicked"),
            }
        }
        Ok(times)
    })?;
    report(args, began.elapsed(), times);
    Ok(())
}

fn report(args: &LoadArgs, took: Duration, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "{} requests for {} over {} connections: {:.0} a second; half within {:.1} ms, 99 % within {:.1} ms",
        times.len(),
        args.language.name(),
        args.connections,
        times.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
    );
}

/// Sends requests over one connection, as long as there are some: how long each honest one took.
fn connection(args: &LoadArgs, next: &AtomicUsize) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(args.at).with_context(|| format!("nobody at {}", args.at))?;
    stream.set_nodelay(true)?;
    let (mut answers, mut requests) = (BufReader::new(stream.try_clone()?), stream);
    let mut times = Vec::new();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= args.requests {
            return Ok(times);
        }
        let hostile = args.hostile && n.is_multiple_of(10);
        let body = match hostile {
            true => json!({ "language": args.language.name(), "code": args.language.endless(),
                            "timeout_ms": 200 }),
            false => json!({ "language": args.language.name(), "code": args.language.square(n) }),
        };
        let body = body.to_string();
        let began = Instant::now();
        let head = "POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
        write!(requests, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        let (status, answer) = read(&mut answers)?;
        ensure!(status == 200, "status {status}: {answer}");
        match hostile {
            true => ensure!(answer["status"] == 124, "an endless loop: {answer}"),
            false => {
                ensure!(answer["stdout"] == format!("{}\n", n * n), "request {n}: {answer}");
                times.push(began.elapsed());
            }
        }
    }
}

/// An answer: its status and its body.
fn read(answers: &mut impl BufRead) -> anyhow::Result<(u16, Value)> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        ensure!(answers.read_line(&mut line)? > 0, "the service has hung up");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if status.is_none() {
            status = Some(line.split(' ').nth(1).unwrap_or_default().parse()?);
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    Ok((status.unwrap_or(0), serde_json::from_slice(&body)?))
}
