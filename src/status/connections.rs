//! Connections: how many at a time, how long a request may take to come, and how long a connection may stay.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::{State, history, routes};

/// Connections at a time; one more is closed at once.
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

async fn accept(listener: &tokio::net::TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Such as no more file descriptors.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_headers(HEADERS)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // Who goes away, or breaks the rules, has nothing to be told.
            let _ = timeout(STAY, connection).await;
            drop(place);
        });
    }
}
