//! Connections: how many at a time and which of them give way, how long a request may take to come, and how long a
//! connection may stay.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::{State, history, routes};

/// Connections at a time; for one more, that which has waited longest for its next request gives way.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, and a connection stay idle.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may stay open; the page comes back by itself.
const STAY: Duration = Duration::from_secs(300);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

/// The body of the status thread, until `stopped`.
pub(super) fn serve(listener: TcpListener, state: &Arc<State>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Without a runtime there is no page, and that is all.
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        tokio::select! {
            () = accept(&listener, routes::router(state)) => {}
            () = history::tell(state) => {}
            _ = stopped => {}
        }
    });
}

/// A connection that is open.
struct Connection {
    waits: Arc<Waits>,
    task: JoinHandle<()>,
}

/// Since when a connection waits for its next request; none while one is answered.
struct Waits(Mutex<Option<Instant>>);

impl Waits {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: &tokio::net::TcpListener, router: Router) {
    let mut open: Vec<Connection> = Vec::with_capacity(CONNECTIONS);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Such as no more file descriptors.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        open.retain(|connection| !connection.task.is_finished());
        if open.len() == CONNECTIONS {
            // Where all are being answered, the new one is closed.
            let Some(longest) = waiting_longest(&open) else { continue };
            open.swap_remove(longest).task.abort();
            // It lets go of its file descriptor before the next one is accepted.
            yield_now().await;
        }
        let waits = Arc::new(Waits(Mutex::new(Some(Instant::now()))));
        let task = tokio::spawn(answer(stream, router.clone(), waits.clone()));
        open.push(Connection { waits, task });
    }
}

/// The connection that has waited longest: nobody can keep others out by asking for nothing, or slowly.
fn waiting_longest(open: &[Connection]) -> Option<usize> {
    let waiting = open.iter().enumerate().filter_map(|(place, one)| Some((one.waits.since()?, place)));
    waiting.min().map(|(_, place)| place)
}

async fn answer(stream: TcpStream, router: Router, waits: Arc<Waits>) {
    let (inner, waits) = (TowerToHyperService::new(router), &*waits);
    let service = service_fn(|request| {
        waits.set(None);
        let answer = inner.call(request);
        async move {
            let answer = answer.await;
            let stays =
                answer.as_ref().is_ok_and(|answer| answer.extensions().get::<routes::Stays>().is_some());
            if !stays {
                waits.set(Some(Instant::now()));
            }
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Who goes away, or breaks the rules, has nothing to be told.
    let _ = timeout(STAY, connection).await;
}
