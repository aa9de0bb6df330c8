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
use tokio::sync::Semaphore;

/// The largest request, in bytes.
const BODY: usize = 256 << 10;
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
    running: Semaphore,
    /// Who runs or waits.
    admitted: Semaphore,
}

/// Serves until Ctrl-C.
pub(crate) fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = args.at_once.map_or(4 * cpus, usize::from);
    let languages = Languages::open(args.python, args.javascript, at_once)?;
    let running = Semaphore::new(at_once);
    let admitted = Semaphore::new(at_once * (1 + WAITING));
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
        let until = async {
            // Without such a signal it is ended otherwise.
            let _ = tokio::signal::ctrl_c().await;
        };
        axum::serve(listener, routes).with_graceful_shutdown(until).await?;
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
    let _admitted = service.admitted.try_acquire().map_err(busy)?;
    let gone = |e: &dyn ToString| refuse(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    let permit = service.running.acquire().await.map_err(|e| gone(&e))?;
    let ran = {
        let service = service.clone();
        // It waits for a process: on a thread for that.
        tokio::task::spawn_blocking(move || service.languages.run(snippet)).await
    };
    drop(permit);
    match ran {
        Ok(Ok(ran)) => Ok(Json(ran)),
        Ok(Err(e)) => Err(gone(&e)),
        Err(e) => Err(gone(&e)),
    }
}
