//! `--metrics ADDRESS`: figures for Prometheus, over HTTP, while the command runs.
//!
//! A thread of its own answers every request with the figures as they are, in the OpenMetrics text
//! format.

use crate::status::say;
use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use procbox::ExitStatus;
use procbox::observe::{Event, Operation, Subscriber};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

/// The format, as a scraper is told.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An address to listen at: `9000` is that port of the loopback interface.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "a port, such as 9000, or an address, such as 127.0.0.1:9000".into())
}

/// How a process can end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    how: How,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum How {
    Success,
    Failure,
    Signal,
    Limit,
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Ended {
        let how = match status.exitcode() {
            _ if status.limit().is_some() => How::Limit,
            0 => How::Success,
            1.. => How::Failure,
            _ => How::Signal,
        };
        Ended { how }
    }
}

/// What a process can wait in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waits {
    call: Call,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call(Operation);

impl EncodeLabelValue for Call {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&format!("{:?}", self.0), encoder)
    }
}

/// The figures.
struct Figures {
    registry: Registry,
    started: Counter,
    alive: Gauge,
    ended: Family<Ended, Counter>,
    given: Counter,
    done: Counter,
    failed: Counter,
    retried: Counter,
    replaced: Counter,
    task_seconds: Histogram,
    waiting: Family<Waits, Gauge>,
    /// When each task that is under way was given to its worker.
    under_way: Mutex<HashMap<(u64, u64), Instant>>,
}

impl Figures {
    fn new() -> Figures {
        // From 10 microseconds to 42 seconds.
        let task_seconds = Histogram::new(exponential_buckets(1e-5, 4.0, 12));
        let mut figures = Figures {
            registry: Registry::with_prefix("procbox"),
            started: Counter::default(),
            alive: Gauge::default(),
            ended: Family::default(),
            given: Counter::default(),
            done: Counter::default(),
            failed: Counter::default(),
            retried: Counter::default(),
            replaced: Counter::default(),
            task_seconds,
            waiting: Family::default(),
            under_way: Mutex::default(),
        };
        let registry = &mut figures.registry;
        registry.register("processes_started", "Processes started", figures.started.clone());
        registry.register(
            "processes_alive",
            "Processes that have not ended",
            figures.alive.clone(),
        );
        registry.register("processes_ended", "Processes ended, by how", figures.ended.clone());
        registry.register("tasks_given", "Tasks given to a worker", figures.given.clone());
        registry.register("tasks_done", "Tasks that ended with a result", figures.done.clone());
        registry.register("tasks_failed", "Tasks that ended with an error", figures.failed.clone());
        registry.register(
            "tasks_retried",
            "Tasks run again for their worker's death",
            figures.retried.clone(),
        );
        registry.register(
            "workers_replaced",
            "Workers that died and were replaced",
            figures.replaced.clone(),
        );
        let help = "Time from the giving of a task to its end, the wait in its chunk included";
        registry.register("task_duration_seconds", help, figures.task_seconds.clone());
        let help = "Processes that wait at this moment, by the call";
        registry.register("processes_waiting", help, figures.waiting.clone());
        figures
    }

    fn task_ended(&self, pool: u64, task: u64) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(given) = under_way.remove(&(pool, task)) {
            self.task_seconds.observe(given.elapsed().as_secs_f64());
        }
    }
}

impl Subscriber for Figures {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::ProcessStarted { .. } => {
                self.started.inc();
                self.alive.inc();
            }
            Event::ProcessEnded { status, .. } => {
                self.ended.get_or_create(&status.into()).inc();
                self.alive.dec();
            }
            Event::TaskGiven { pool, task, count, .. } => {
                self.given.inc_by(count as u64);
                let now = Instant::now();
                let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.extend((task..task + count as u64).map(|task| ((pool, task), now)));
            }
            Event::TaskDone { pool, task } => {
                self.done.inc();
                self.task_ended(pool, task);
            }
            Event::TaskFailed { pool, task, .. } => {
                self.failed.inc();
                self.task_ended(pool, task);
            }
            Event::TaskRetried { count, .. } => {
                self.retried.inc_by(count as u64);
            }
            Event::WorkerReplaced { .. } => {
                self.replaced.inc();
            }
            Event::WaitBegun { on, .. } => {
                self.waiting.get_or_create(&Waits { call: Call(on.operation) }).inc();
            }
            Event::WaitEnded { on, .. } => {
                self.waiting.get_or_create(&Waits { call: Call(on.operation) }).dec();
            }
            _ => {}
        }
    }
}

/// The figures and the thread that tells them, until this is dropped.
pub(super) struct Metrics {
    figures: Arc<Figures>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Listens, and says where.
    pub(super) fn listen(at: SocketAddr, quiet: bool) -> anyhow::Result<Metrics> {
        let why = || format!("--metrics {at}");
        let listener = TcpListener::bind(at).with_context(why)?;
        listener.set_nonblocking(true).with_context(why)?;
        let at = listener.local_addr().with_context(why)?;
        let figures = Arc::new(Figures::new());
        let (stop, stopped) = oneshot::channel();
        let served = figures.clone();
        let thread = std::thread::Builder::new()
            .name("procbox-metrics".into())
            .spawn(move || serve(listener, &served, stopped))
            .with_context(why)?;
        if !quiet {
            say(&format!("metrics at http://{at}/metrics"));
        }
        Ok(Metrics { figures, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn subscriber(&self) -> Arc<dyn Subscriber> {
        self.figures.clone()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers until it is told to stop.
fn serve(listener: TcpListener, figures: &Arc<Figures>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, figures.clone()));
            // Dropped or sent to: both mean the same.
            let _ = stopped.await;
            Ok(())
        })
    });
    if let Err(e) = served {
        say(&format!("--metrics: {e}"));
    }
}

async fn accept(listener: tokio::net::TcpListener, figures: Arc<Figures>) {
    loop {
        // Whoever was to be accepted may have gone, or there may be no descriptor for now.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let figures = figures.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = answer(&figures, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // Whoever asked has gone: that is its own affair.
            let _ = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn answer(figures: &Figures, request: &Request<Incoming>) -> Response<String> {
    let mut text = String::new();
    let mut response = Response::new(String::new());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = hyper::StatusCode::NOT_FOUND;
        *response.body_mut() = "the figures are at /metrics\n".into();
    } else if encode(&mut text, &figures.registry).is_ok() {
        let format = hyper::header::HeaderValue::from_static(OPEN_METRICS);
        response.headers_mut().insert(CONTENT_TYPE, format);
        *response.body_mut() = text;
    } else {
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_the_loopback_interface() {
        assert_eq!(address("9000"), Ok(([127, 0, 0, 1], 9000).into()));
        assert_eq!(address("[::1]:9"), Ok(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9))));
        assert!(address("here").is_err());
    }
}
