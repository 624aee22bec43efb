//! One key: its events and open windows, asked of the lanes, and what became of its closed ones.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crossbeam_channel::TryRecvError;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until};

use super::State;
use super::routes::json;
use super::snapshot::key_text;
use crate::clock;
use crate::config::{Plan, hex};
use crate::observe::{KeyState, Missing, Outcome, Seen, SeenWindow};
use crate::record::Key;
use crate::time::Millis;

/// How long lanes have to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at whether they have.
const LOOK: Duration = Duration::from_millis(5);
/// Between two questions, whoever asks: lanes have other work.
const APART: Duration = Duration::from_millis(20);
/// Bytes of a key.
const LONGEST: usize = 4096;
const UNUSABLE: &str = "a key is at most 4096 bytes of UTF-8, percent-encoded; with ?encoding=hex it is any bytes, as pairs of \
                        hexadecimal digits";

/// A key in JSON, as results have it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum KeyText {
    Text(String),
    Bytes { hex: String },
}

impl KeyText {
    pub(super) fn of(key: &Key) -> Self {
        match std::str::from_utf8(key) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { hex: hex(key) },
        }
    }
}

/// A result or a dead letter in JSON.
#[derive(Serialize)]
pub(super) struct SeenText {
    wall: Millis,
    topic: String,
    partition: i32,
    key: Option<KeyText>,
    model: Option<String>,
    window: Option<SeenWindow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(flatten)]
    dead_letter: Option<DeadLetter>,
}

#[derive(Serialize)]
struct DeadLetter {
    reason: String,
    detail: String,
    traceback: Option<String>,
    offset: Option<i64>,
}

impl SeenText {
    pub(super) fn of(seen: &Seen, plan: &Plan) -> Self {
        let (model, value, dead_letter) = match &seen.outcome {
            Outcome::Result(model, text) => {
                let value = text.clone().and_then(|text| RawValue::from_string(text).ok());
                (Some(plan.models[*model].name.clone()), value, None)
            }
            Outcome::DeadLetter { reason, detail, model, traceback, offset } => {
                let dead_letter = DeadLetter {
                    reason: reason.clone(),
                    detail: detail.clone(),
                    traceback: traceback.clone(),
                    offset: *offset,
                };
                (model.clone(), None, Some(dead_letter))
            }
        };
        Self {
            wall: seen.wall,
            topic: seen.topic.clone(),
            partition: seen.partition,
            key: key_text(seen.key.as_ref()),
            model,
            window: seen.window,
            value,
            dead_letter,
        }
    }
}

/// Windows that an event came too late for.
#[derive(Serialize)]
struct MissedText {
    model: String,
    time: Millis,
    first_start: Millis,
    last_start: Millis,
    count: i64,
}

#[derive(Serialize)]
struct Answer {
    key: KeyText,
    now: Millis,
    /// Whether all lanes have answered.
    complete: bool,
    partitions: Vec<KeyState>,
    seen: Vec<SeenText>,
    missed: Vec<MissedText>,
}

/// `/api/keys/{key}`; with `?encoding=hex` the key is its bytes in hexadecimal digits.
pub(super) async fn key(
    Shared(state): Shared<Arc<State>>,
    text: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let text = text.ok().map(|Path(text)| text);
    let bytes = match query.as_deref() {
        None | Some("") => text.map(String::into_bytes),
        Some("encoding=hex") => text.and_then(|text| unhex(&text)),
        Some(_) => None,
    };
    match bytes.filter(|bytes| bytes.len() <= LONGEST) {
        Some(bytes) => look(&state, Key::from(bytes)).await,
        None => (StatusCode::BAD_REQUEST, UNUSABLE).into_response(),
    }
}

/// `/api/keys/`: a key of no bytes is one like any other.
pub(super) async fn empty(Shared(state): Shared<Arc<State>>) -> Response {
    look(&state, Key::from(&b""[..])).await
}

async fn look(state: &State, key: Key) -> Response {
    let (plan, observer) = (&state.plan, &state.metrics.observer);
    observer.watch(&key);
    let (partitions, complete) = ask(state, &key).await;
    let (seen, missed) = observer.of(&key);
    let missed = missed.into_iter().map(|missing| {
        let Missing { model, time, first_start, last_start, count } = missing;
        MissedText { model: plan.models[model].name.clone(), time, first_start, last_start, count }
    });
    let answer = Answer {
        key: KeyText::of(&key),
        now: clock::wall(),
        complete,
        partitions,
        seen: seen.iter().map(|seen| SeenText::of(seen, plan)).collect(),
        missed: missed.collect(),
    };
    // Numbers and text always serialize.
    json(serde_json::to_string(&answer).unwrap_or_default()).into_response()
}

async fn ask(state: &State, key: &Key) -> (Vec<KeyState>, bool) {
    let mut next = state.next_question.lock().await;
    sleep_until(*next).await;
    *next = Instant::now() + APART;
    drop(next);
    let (answers, asked) = state.metrics.observer.ask(key);
    let (mut partitions, mut answered) = (Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    while answered < asked && Instant::now() < deadline {
        match answers.try_recv() {
            Ok(states) => {
                partitions.extend(states);
                answered += 1;
            }
            Err(TryRecvError::Empty) => sleep(LOOK).await,
            Err(TryRecvError::Disconnected) => break,
        }
    }
    (partitions, answered == state.plan.lanes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
