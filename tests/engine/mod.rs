//! The engine under test, driven step by step in memory: apps built from an oracle's models, logs fed from its events,
//! outputs read back in its terms.
#![allow(dead_code, unreachable_pub, reason = "each integration test includes it and uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream::batch::Batch;
use millstream::config::Plan;
use millstream::context::ContextValue;
use millstream::control::Control;
use millstream::epoch::Transaction;
use millstream::error::Error;
use millstream::lane::Routes;
use millstream::log;
use millstream::metadata::{FloorText, Metadata};
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::pipeline;
use millstream::predict::{Column, Model as Predict, Outputs};
use millstream::record::TopicPartition;
use millstream::shared::Shared;
use millstream::sink::{MemoryLog, MemoryRecord, MemorySink, Outcome, Sink};
use millstream::source::MemorySource;
use serde_json::{Value, json};

use super::oracle::log::Rng;
use super::oracle::{Advance, Event, Expected, Floor, Model, Window};

pub const TOPIC: &str = "readings";

/// What an app may be varied in without its results changing, and how it is driven.
#[derive(Clone, Debug)]
pub struct Settings {
    pub max_batch: usize,
    /// As a plan says them.
    pub length_buckets: Value,
    pub workers: usize,
    pub poll: usize,
    pub max_future: Option<i64>,
    pub idle_timeout: Option<i64>,
    /// One transaction in so many goes wrong; 0 is none.
    pub faults_one_in: usize,
    pub on_error: &'static str,
    pub retries: u32,
    pub timeout: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_batch: 256,
            length_buckets: Value::Null,
            workers: 1,
            poll: 7,
            max_future: None,
            idle_timeout: None,
            faults_one_in: 0,
            on_error: "dead_letter",
            retries: 0,
            timeout: None,
        }
    }
}

pub fn plan(models: &[Model], settings: &Settings) -> Arc<Plan> {
    let models: Vec<Value> = models
        .iter()
        .enumerate()
        .map(|(index, model)| {
            json!({"name": format!("m{index}"), "version": null, "source": 0, "size_ms": model.spec.size,
                "hop_ms": model.spec.hop, "offset_ms": model.spec.offset, "grace_ms": model.spec.grace,
                "min_events": model.spec.min_events, "sink": format!("out{index}"), "max_batch": settings.max_batch,
                "length_buckets": settings.length_buckets,
                "workers": settings.workers, "late": "topic", "on_error": settings.on_error,
                "retries": settings.retries, "timeout_ms": settings.timeout, "max_batch_events": null,
                "target_ms": null, "fields": ["seq"], "context": ["seq"],
                "dtype": "float64", "timestamps": true, "pad_batch_to": null, "outputs": null})
        })
        .collect();
    let plan = json!({"name": "app", "brokers": "memory", "guarantee": "exactly_once", "group_id": "app",
        "kafka": {}, "lanes": 1, "epoch_ms": 1, "start": "earliest", "create_topics": true,
        "dead_letter_topic": "app.dead-letter", "late_topic": "app.late", "drain_timeout_ms": 1000,
        "max_inflight_bytes": 1 << 30, "models": models,
        "sources": [{"topic": TOPIC, "key": null, "timestamp": "ts", "timestamp_unit": "ms", "fields": ["seq"],
            "context": ["seq"], "missing": "dead_letter", "format": "json", "idle_timeout_ms": settings.idle_timeout,
            "max_future_ms": settings.max_future, "scattered": false}]});
    Arc::new(Plan::from_json(&plan.to_string()).unwrap())
}

/// Commits what a group would have committed whose models have these floors.
pub fn commit_floors(plan: &Plan, models: &[Model], log: &MemoryLog) {
    let mut metadata = Metadata::of(plan, 0, None, 1);
    for (text, model) in metadata.models.iter_mut().zip(models) {
        text.floor = FloorText::from(match model.floor {
            Floor::None => millstream::window::Floor::None,
            Floor::Value(time) => millstream::window::Floor::At(time),
            Floor::Pending => millstream::window::Floor::Pending,
        });
    }
    log.commit(&partition(), 0, metadata.encode());
}

pub fn partition() -> TopicPartition {
    TopicPartition { topic: Arc::from(TOPIC), partition: 0 }
}

/// The events as records; their offsets are their places in the log.
pub fn append(log: &MemoryLog, event: &Event) {
    let value = if event.valid {
        json!({"seq": event.offset, "ts": event.time}).to_string()
    } else {
        format!("{{\"seq\": {}, \"ts\"", event.offset)
    };
    let record = MemoryRecord {
        key: Some(event.key.clone()),
        value: Some(value.into_bytes()),
        timestamp: event.record_time,
        headers: Vec::new(),
    };
    log.append(TOPIC, 0, record);
}

/// A model that returns the offsets and times of each window's events, in order, and fails where the context is not
/// that of the last one.
#[allow(clippy::unnecessary_wraps, reason = "a model may fail")]
pub fn echo(batch: &mut Batch) -> millstream::error::Result<Outputs> {
    let times = batch.timestamps.as_ref().unwrap();
    for (context, end) in batch.contexts.as_ref().unwrap().iter().zip(&batch.row_splits[1..]) {
        let last = ContextValue::Int(batch.values.get(*end as usize - 1) as i64);
        if context[..] != [last.clone()] {
            return Err(Error::model(format!("the context is {context:?}, the last event's {last:?}")));
        }
    }
    let rows = batch.row_splits.windows(2).map(|bounds| {
        let range = bounds[0] as usize..bounds[1] as usize;
        range.map(|i| json!([times[i], batch.values.get(i) as i64])).collect()
    });
    Ok(vec![("events".to_owned(), Column::Json(rows.collect()))].into())
}

/// A sink whose transactions are aborted now and then, or end in a way that nobody can tell.
pub struct Flaky {
    sink: MemorySink,
    one_in: usize,
    faults: Rng,
}

impl Sink for Flaky {
    fn commit(&mut self, transaction: &Transaction) -> millstream::error::Result<Outcome> {
        if self.one_in > 0 && self.faults.below(self.one_in) == 0 {
            return match self.faults.below(3) {
                0 => Ok(Outcome::Aborted),
                1 => Ok(Outcome::Unknown),
                _ => self.sink.commit(transaction).map(|_| Outcome::Unknown),
            };
        }
        self.sink.commit(transaction)
    }
}

/// An app on `log`, as after a start.
pub fn start(
    plan: &Arc<Plan>,
    metrics: &Arc<Metrics>,
    log: &MemoryLog,
    settings: &Settings,
    faults: Rng,
    adopt: bool,
) -> Offline<Flaky> {
    start_with(plan, metrics, log, settings, faults, adopt, &(Arc::new(echo) as Arc<dyn Predict>))
}

/// The same with a model of one's own in place of each.
pub fn start_with(
    plan: &Arc<Plan>,
    metrics: &Arc<Metrics>,
    log: &MemoryLog,
    settings: &Settings,
    faults: Rng,
    adopt: bool,
    model: &Arc<dyn Predict>,
) -> Offline<Flaky> {
    let (says, _) = log::channel();
    let models: Vec<Arc<dyn Predict>> = plan.models.iter().map(|_| model.clone()).collect();
    let sink =
        Flaky { sink: MemorySink::new(plan.clone(), log.clone()), one_in: settings.faults_one_in, faults };
    let shared = Shared {
        plan: plan.clone(),
        metrics: metrics.clone(),
        log: says,
        control: Control::default(),
        routes: Routes::keep_all(plan),
        adopt,
        until_end: None,
    };
    Offline::with_sink(&shared, &models, log.clone(), settings.poll, sink)
}

/// One run to the end of the source, as in production: each stage on threads of its own.
pub fn on_threads(
    plan: &Arc<Plan>,
    log: &MemoryLog,
    model: Arc<dyn Predict>,
) -> millstream::error::Result<()> {
    let (says, _reader) = log::channel();
    let shared = Shared {
        plan: plan.clone(),
        metrics: Arc::new(Metrics::new(plan)),
        log: says,
        control: Control::default(),
        routes: Routes::keep_all(plan),
        adopt: false,
        until_end: Some(false),
    };
    let (of_lane, plan) = (log.clone(), plan.clone());
    let connect = move |_| {
        let source = MemorySource::new(of_lane.clone(), vec![TOPIC.to_owned()], 1_000);
        Ok((source, MemorySink::new(plan.clone(), of_lane.clone())))
    };
    let mut running = pipeline::start(&shared, &[model], connect)?;
    while !running.wait(Duration::from_millis(20)) {}
    running.join()
}

/// What is committed at this moment as an idle advance, if it is one.
pub fn advance_in(log: &MemoryLog) -> Option<Advance> {
    let (offset, text) = log.committed(&partition())?;
    let clock = Metadata::decode(&text)?.jump?;
    Some(Advance { before_offset: offset, clock })
}

/// The windows that were produced, in the order of the log of each model's sink.
pub fn produced(log: &MemoryLog, models: usize) -> Vec<Vec<Window>> {
    (0..models)
        .map(|model| {
            let records = log.topic(&format!("out{model}")).into_iter().flatten();
            records.map(|record| window(model, &record)).collect()
        })
        .collect()
}

fn window(model: usize, record: &MemoryRecord) -> Window {
    let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    let pair = |pair: &Value| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap());
    let events: Vec<_> = value["events"].as_array().unwrap().iter().map(pair).collect();
    assert_eq!(value["n_events"].as_u64().unwrap() as usize, events.len());
    let (start, end) = (value["window"]["start"].as_i64().unwrap(), value["window"]["end"].as_i64().unwrap());
    assert_eq!(record.timestamp, Some((end - 1).max(0)));
    Window { model, key: record.key.clone().unwrap(), start, end, events }
}

/// The pairs in the late topic: (model, offset, start).
pub fn late_pairs(log: &MemoryLog, models: &[Model]) -> Vec<(usize, i64, i64)> {
    let mut pairs = Vec::new();
    for record in log.topic("app.late").into_iter().flatten() {
        let model: usize = header(&record, "model")[1..].parse().unwrap();
        let offset: i64 = header(&record, "offset").parse().unwrap();
        let missed = header(&record, "windows-missed");
        let bounds: Vec<i64> = missed.split('/').map(|part| part.parse().unwrap()).collect();
        let hop = models[model].spec.hop;
        let starts: Vec<i64> = (0..bounds[2]).map(|k| bounds[0] + k * hop).collect();
        assert_eq!(starts.last(), Some(&bounds[1]));
        pairs.extend(starts.into_iter().map(|start| (model, offset, start)));
    }
    pairs
}

/// The records in the dead-letter topic, by offset.
pub fn dead_letters(log: &MemoryLog) -> Vec<i64> {
    let records = log.topic("app.dead-letter").into_iter().flatten();
    let records = records.filter(|record| record.headers.iter().any(|(name, _)| name == "offset"));
    records.map(|record| header(&record, "offset").parse().unwrap()).collect()
}

/// The windows in the dead-letter topic, in the order of its log.
pub fn dead_windows(log: &MemoryLog) -> Vec<Window> {
    let records = log.topic("app.dead-letter").into_iter().flatten();
    let windows = records.filter(|record| record.headers.iter().all(|(name, _)| name != "offset"));
    windows.map(|record| dead_window(&record)).collect()
}

fn dead_window(record: &MemoryRecord) -> Window {
    let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    let list = |name: &str| value[name].as_array().unwrap().clone();
    let seqs = list("values").into_iter().map(|row| row[0].as_f64().unwrap() as i64);
    let times = list("timestamps").into_iter().map(|time| time.as_i64().unwrap());
    let (start, end) = (value["window"]["start"].as_i64().unwrap(), value["window"]["end"].as_i64().unwrap());
    assert_eq!(record.timestamp, Some((end - 1).max(0)));
    Window {
        model: header(record, "model")[1..].parse().unwrap(),
        key: record.key.clone().unwrap(),
        start,
        end,
        events: times.zip(seqs).collect(),
    }
}

pub fn header(record: &MemoryRecord, name: &str) -> String {
    let value = record.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.clone());
    String::from_utf8(value.unwrap()).unwrap()
}

/// Compares all that was committed with what the oracle expects.
pub fn check(log: &MemoryLog, models: &[Model], expected: &Expected) {
    for (model, windows) in produced(log, models.len()).into_iter().enumerate() {
        let wanted: Vec<&Window> = expected.windows.iter().filter(|window| window.model == model).collect();
        let first = windows.iter().zip(&wanted).position(|(found, wanted)| found != *wanted);
        let first = first.unwrap_or(windows.len().min(wanted.len()));
        let differing = (windows.get(first), wanted.get(first).copied());
        assert_eq!(differing.0, differing.1, "window {first} of {} of model {model}", wanted.len());
    }
    let late = late_pairs(log, models);
    let distinct: BTreeSet<_> = late.iter().copied().collect();
    assert_eq!(distinct, expected.late_pairs, "late pairs");
    assert_eq!(late.len(), distinct.len(), "late pairs told once");
    let dead = dead_letters(log);
    let distinct: BTreeSet<_> = dead.iter().copied().collect();
    assert_eq!(distinct, expected.dead, "dead letters");
    assert_eq!(dead.len(), distinct.len(), "dead letters told once");
}
