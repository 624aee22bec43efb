//! What is served where.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::{State, key, page, prometheus, snapshot};

/// Pages that are kept up to date at a time.
const STREAMS: usize = 16;
const STRICT: &str = "default-src 'none'; frame-ancestors 'none'";

/// Is with an answer that goes on as long as its connection stays.
#[derive(Clone)]
pub(super) struct Stays;

pub(super) fn router(state: &Arc<State>) -> Router {
    let streams = Arc::new(Semaphore::new(STREAMS));
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/api/status", get(status))
        .route("/api/keys/{key}", get(key::key))
        .route("/api/keys/", get(key::empty))
        .route(
            "/api/stream",
            get(move |Shared(state): Shared<Arc<State>>| async move { follow(&state, streams) }),
        )
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(from_fn_with_state(state.clone(), guard))
        .with_state(state.clone())
}

/// Refuses what the rules of access refuse, and puts the headers on that every response carries.
async fn guard(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let mut response = match state.access.refuses(&request) {
        Some((StatusCode::UNAUTHORIZED, text)) => {
            let realm = [(WWW_AUTHENTICATE, "Basic realm=\"millstream\"")];
            (StatusCode::UNAUTHORIZED, realm, text).into_response()
        }
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(STRICT));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    let text = prometheus::text(&state.plan, &state.metrics, state.control.stopping());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Whether the run is alive.
async fn healthy(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    if state.control.aborting() {
        (StatusCode::SERVICE_UNAVAILABLE, "the run has failed\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// Whether it has its partitions, has caught up once, and is not about to end.
async fn ready(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    match snapshot::phase(&state) {
        phase @ ("running" | "paused") => (StatusCode::OK, format!("{phase}\n")),
        phase => (StatusCode::SERVICE_UNAVAILABLE, format!("{phase}\n")),
    }
}

async fn status(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    json(snapshot::text(&state, true))
}

pub(super) fn json(text: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text)
}

/// Sends what has changed every second; a page that does not read is not sent more.
fn follow(state: &State, streams: Arc<Semaphore>) -> Response {
    let Ok(place) = streams.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open").into_response();
    };
    let news = state.news.subscribe();
    let events = stream::unfold((news, place), |(mut news, place)| async move {
        news.changed().await.ok()?;
        let text = news.borrow_and_update().clone();
        let event: Result<_, Infallible> = Ok(Event::default().data(&*text));
        Some((event, (news, place)))
    });
    let mut response = Sse::new(events).into_response();
    response.extensions_mut().insert(Stays);
    response
}
