//! The service.

use crate::run::{Languages, Ran, Snippet};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use clap::Args;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The largest request, in bytes.
const BODY: usize = 256 << 10;
/// How long requests that are under way are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(6);
/// For each snippet that runs, how many may wait.
const WAITING: usize = 16;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Python as a command: `make languages` builds target/languages/python.wasm.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// JavaScript as a command: target/languages/js.wasm.
    #[arg(long, value_name = "FILE")]
    javascript: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Snippets that run at once [default: four for each CPU].
    #[arg(long)]
    at_once: Option<NonZeroUsize>,
}

struct Service {
    languages: Languages,
    /// Who runs.
    running: Arc<Semaphore>,
    /// Who runs or waits.
    admitted: Arc<Semaphore>,
}

/// Serves until Ctrl-C.
pub(crate) fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = args.at_once.map_or(4 * cpus, usize::from);
    let languages = Languages::open(args.python, args.javascript, at_once)?;
    let running = Arc::new(Semaphore::new(at_once));
    let admitted = Arc::new(Semaphore::new(at_once * (1 + WAITING)));
    let service = Arc::new(Service { languages, running, admitted });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(at_once)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let routes = Router::new()
            .route("/run", post(run))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(service);
        let listener = tokio::net::TcpListener::bind(args.listen).await?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let until = async {
            // Without such a signal it is ended otherwise.
            let _ = stopped.await;
        };
        let patience = async {
            let asked = tokio::signal::ctrl_c().await;
            let _ = stop.send(());
            tokio::time::sleep(PATIENCE).await;
            asked
        };
        tokio::select! {
            served = axum::serve(listener, routes).with_graceful_shutdown(until) => served?,
            // Who has sent half of a request by then does not keep it.
            asked = patience => asked?,
        }
        Ok(())
    })
}

type Refused = (StatusCode, Json<Value>);

fn refuse(status: StatusCode, why: impl ToString) -> Refused {
    (status, Json(json!({ "error": why.to_string() })))
}

async fn run(State(service): State<Arc<Service>>, body: Bytes) -> Result<Json<Ran>, Refused> {
    // Whatever type a client says that it is of.
    let snippet: Snippet =
        serde_json::from_slice(&body).map_err(|e| refuse(StatusCode::BAD_REQUEST, e))?;
    if !service.languages.has(snippet.language) {
        return Err(refuse(StatusCode::NOT_FOUND, "this service has no such language"));
    }
    if snippet.code.contains('\0') {
        return Err(refuse(StatusCode::BAD_REQUEST, "the code has a zero byte"));
    }
    let busy = |_| refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests: try again later");
    let admitted = service.admitted.clone().try_acquire_owned().map_err(busy)?;
    let gone = |e: &dyn ToString| refuse(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    let running = service.running.clone().acquire_owned().await.map_err(|e| gone(&e))?;
    // It waits for a process: on a thread for that. A client that hangs up meanwhile frees no place.
    let ran = tokio::task::spawn_blocking(move || {
        let _permits = (admitted, running);
        service.languages.run(snippet)
    });
    match ran.await {
        Ok(Ok(ran)) => Ok(Json(ran)),
        Ok(Err(e)) => Err(gone(&e)),
        Err(e) => Err(gone(&e)),
    }
}
