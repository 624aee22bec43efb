//! The page: one response that needs no other, whose own script and style alone may run.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/dom.js"),
    include_str!("page/charts.js"),
    include_str!("page/timeline.js"),
    include_str!("page/main.js"),
];
/// Stands in the page where its nonce goes.
const NONCE: &str = "{{nonce}}";

static PAGE: LazyLock<String> =
    LazyLock::new(|| FRAME.replace("{{style}}", STYLE).replace("{{script}}", &SCRIPTS.join("\n")));

pub(super) async fn page() -> Response {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "this machine has no random numbers").into_response();
    }
    let nonce = crate::config::hex(&bytes);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    (headers, PAGE.replace(NONCE, &nonce)).into_response()
}
