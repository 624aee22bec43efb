//! A run at one moment as JSON: what the page shows and `/api/status` returns.

use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::State;
use super::history::{History, Point, Rates, lag, settled};
use super::key::{KeyText, SeenText};
use crate::clock;
use crate::config::{Guarantee, Plan, Unit};
use crate::decode::Reason;
use crate::metrics::{Counter, Metrics};
use crate::time::Millis;

/// From so much of its time on a stage counts as one that holds others up.
const BUSY: f64 = 0.66;

#[derive(Serialize)]
struct Status<'a> {
    app: About<'a>,
    now: Millis,
    uptime_seconds: f64,
    phase: &'static str,
    totals: Value,
    stages: Vec<Stage>,
    sources: Vec<Source<'a>>,
    models: Vec<Model<'a>>,
    results: Vec<SeenText>,
    dead_letters: Vec<SeenText>,
    history: Vec<Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct About<'a> {
    name: &'a str,
    group: &'a str,
    brokers: &'a str,
    guarantee: &'static str,
    lanes: usize,
    version: &'static str,
}

/// One stage of the way that events go.
#[derive(Serialize)]
struct Stage {
    name: &'static str,
    /// What passes it per second.
    rate: f64,
    unit: &'static str,
    /// What waits before it.
    waiting: i64,
    waiting_unit: String,
    /// The share of its time that it is at work, where that is known.
    busy: Option<f64>,
    /// Whether the stages before it wait for it.
    holds_up: bool,
}

#[derive(Serialize)]
struct Source<'a> {
    topic: &'a str,
    consumed: u64,
    below_expected: u64,
    invalid: Map<String, Value>,
    partitions: Vec<Partition>,
}

#[derive(Default, Serialize)]
struct Partition {
    #[serde(rename = "partition")]
    number: i32,
    state: &'static str,
    lag: Option<i64>,
    clock: Option<Millis>,
    clock_delay_seconds: Option<f64>,
    next_offset: Option<i64>,
    committed_offset: Option<i64>,
    end_offset: Option<i64>,
    events: usize,
    keys: usize,
    state_bytes: usize,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    version: Option<&'a str>,
    source: &'a str,
    sink: &'a str,
    unit: &'static str,
    size_ms: Millis,
    hop_ms: Millis,
    grace_ms: Millis,
    workers: usize,
    workers_busy: usize,
    events: u64,
    late_events: u64,
    late_pairs: u64,
    before_start: u64,
    windows_open: usize,
    windows_waiting: usize,
    windows_queued: usize,
    windows_closed: u64,
    windows_skipped: u64,
    windows_produced: u64,
    windows_silent: u64,
    windows_dropped: u64,
    dead_letters: Map<String, Value>,
    calls: u64,
    failed_calls: u64,
    retries: u64,
    rates: Rates,
}

/// What the run is doing.
pub(super) fn phase(state: &State) -> &'static str {
    let (metrics, control) = (&state.metrics, &state.control);
    if control.aborting() {
        "failed"
    } else if control.stopping() {
        "stopping"
    } else if metrics.lanes_ready.get() < state.plan.lanes as u64 {
        if metrics.rebalances.get() == 0 { "starting" } else { "catching up" }
    } else if metrics.paused.load(Ordering::Relaxed) {
        "paused"
    } else {
        "running"
    }
}

/// The JSON text: whole, with all of the history and the settings, or what is new this second.
pub(super) fn text(state: &State, whole: bool) -> String {
    let State { plan, metrics, .. } = state;
    let history = state.history();
    let now = clock::wall();
    let (mut results, mut dead_letters) = metrics.observer.latest();
    results.reverse();
    dead_letters.reverse();
    let status = Status {
        app: about(plan),
        now,
        uptime_seconds: state.began.elapsed().as_secs_f64(),
        phase: phase(state),
        totals: totals(plan, metrics),
        stages: stages(plan, metrics, &history),
        sources: sources(metrics, now),
        models: models(plan, metrics, &history),
        results: results.iter().map(|seen| SeenText::of(seen, plan)).collect(),
        dead_letters: dead_letters.iter().map(|seen| SeenText::of(seen, plan)).collect(),
        history: history.points(if whole { usize::MAX } else { 1 }),
        settings: whole.then_some(&state.settings),
    };
    // Numbers and text always serialize.
    serde_json::to_string(&status).unwrap_or_default()
}

fn about(plan: &Plan) -> About<'_> {
    About {
        name: &plan.name,
        group: &plan.group_id,
        brokers: &plan.brokers,
        guarantee: match plan.guarantee {
            Guarantee::ExactlyOnce => "exactly_once",
            Guarantee::AtLeastOnce => "at_least_once",
        },
        lanes: plan.lanes,
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn totals(plan: &Plan, metrics: &Metrics) -> Value {
    json!({
        "epochs": metrics.epochs.get(),
        "transactions": metrics.transactions.get(),
        "transactions_aborted": metrics.transactions_aborted.get(),
        "transactions_unknown": metrics.transactions_unknown.get(),
        "rebalances": metrics.rebalances.get(),
        "restores": metrics.restores.get(),
        "inflight_bytes": metrics.inflight.get(),
        "max_inflight_bytes": plan.max_inflight_bytes,
        "limit_warnings": metrics.limit_warnings.get(),
        "paused": metrics.paused.load(Ordering::Relaxed),
    })
}

/// The stages, and where the back-pressure is: at the busiest of those that are nearly always at work, or at the later
/// one that windows wait for while reading is paused.
fn stages(plan: &Plan, metrics: &Metrics, history: &History) -> Vec<Stage> {
    let sum = |of: fn(&crate::metrics::ModelMetrics) -> usize| metrics.models.iter().map(of).sum::<usize>();
    let waiting = sum(|model| model.windows_waiting.load(Ordering::Relaxed));
    let queued = sum(|model| model.windows_queued.load(Ordering::Relaxed));
    let rates: Vec<Rates> = (0..plan.models.len()).map(|model| history.rates(model)).collect();
    let busy = rates.iter().map(|rates| rates.busy).fold(0.0, f64::max);
    let windows: f64 = rates.iter().map(|rates| rates.windows).sum();
    let committing = history.committing();
    let closed =
        |model: &crate::metrics::ModelMetrics| model.windows_closed.get() - model.windows_skipped.get();
    let uncommitted: u64 = metrics.models.iter().map(|m| closed(m).saturating_sub(settled(m))).sum();
    let behind = lag_of(metrics);
    let paused = metrics.paused.load(Ordering::Relaxed);
    let predict = (paused || busy >= BUSY) && busy >= committing && waiting + queued > 0;
    let commit = !predict && (paused || committing >= BUSY);
    let read = !predict && !commit && behind as f64 > history.read().max(1.0) * 5.0;
    let stage = |name, rate, unit, waiting, waiting_unit| Stage {
        name,
        rate,
        unit,
        waiting,
        waiting_unit,
        busy: None,
        holds_up: false,
    };
    let (unit, collect) = units(plan);
    let events = rates.iter().map(|rates| rates.events).sum();
    let lag = "records of lag".to_owned();
    vec![
        Stage { holds_up: read, ..stage("read", history.read(), "events", behind, lag) },
        stage(collect, events, "events", waiting as i64, format!("{unit} closed")),
        Stage {
            busy: Some(busy),
            holds_up: predict,
            ..stage("predict", windows, unit, queued as i64, format!("{unit} queued"))
        },
        Stage {
            busy: Some(committing),
            holds_up: commit,
            ..stage("commit", windows, unit, uncommitted as i64, format!("{unit} not committed"))
        },
    ]
}

/// What goes from model to commit, and the name of the stage that makes it of events.
fn units(plan: &Plan) -> (&'static str, &'static str) {
    let of_events = plan.models.iter().filter(|model| model.unit() == Unit::Event).count();
    match of_events {
        0 => ("windows", "window"),
        all if all == plan.models.len() => ("events", "batch"),
        _ => ("windows and events", "window"),
    }
}

fn lag_of(metrics: &Metrics) -> i64 {
    metrics.sources.iter().map(lag).sum()
}

fn reasons(counters: &[Counter]) -> Map<String, Value> {
    let counted = Reason::ALL.iter().zip(counters).filter(|(_, count)| count.get() > 0);
    counted.map(|(reason, count)| (reason.code().to_owned(), count.get().into())).collect()
}

fn sources(metrics: &Metrics, now: Millis) -> Vec<Source<'_>> {
    let paused = metrics.paused.load(Ordering::Relaxed);
    let source = metrics.sources.iter().map(|source| {
        let restoring = source.restoring();
        let mut partitions: Vec<Partition> = Vec::new();
        for (partition, gauges) in source.partitions() {
            let lag = gauges.lag();
            partitions.push(Partition {
                number: partition,
                state: match lag {
                    _ if paused => "paused",
                    Some(0) => "caught up",
                    _ => "reading",
                },
                lag,
                clock: gauges.clock,
                clock_delay_seconds: gauges.clock.map(|clock| (now - clock) as f64 / 1e3),
                next_offset: Some(gauges.next_offset),
                committed_offset: gauges.committed_offset,
                end_offset: gauges.end_offset,
                events: gauges.events,
                keys: gauges.keys,
                state_bytes: gauges.state_bytes,
            });
        }
        let known: Vec<i32> = partitions.iter().map(|partition| partition.number).collect();
        let others = restoring.into_iter().filter(|partition| !known.contains(partition));
        partitions.extend(others.map(|number| Partition {
            number,
            state: "restoring",
            ..Partition::default()
        }));
        partitions.sort_by_key(|partition| partition.number);
        Source {
            topic: &source.topic,
            consumed: source.consumed.get(),
            below_expected: source.below_expected.get(),
            invalid: reasons(&source.dead_letters),
            partitions,
        }
    });
    source.collect()
}

fn models<'a>(plan: &'a Plan, metrics: &Metrics, history: &History) -> Vec<Model<'a>> {
    let pairs = plan.models.iter().zip(&metrics.models).enumerate();
    let model = pairs.map(|(index, (config, model))| Model {
        name: &config.name,
        version: config.version.as_deref(),
        source: &plan.sources[config.source].topic,
        sink: &config.sink,
        unit: config.unit().one(),
        size_ms: config.size_ms,
        hop_ms: config.hop_ms,
        grace_ms: config.grace_ms,
        workers: config.workers,
        workers_busy: model.pool_busy.load(Ordering::Relaxed),
        events: model.events.get(),
        late_events: model.late_events.get(),
        late_pairs: model.late_pairs.get(),
        before_start: model.before_start.get(),
        windows_open: model.windows_open.load(Ordering::Relaxed),
        windows_waiting: model.windows_waiting.load(Ordering::Relaxed),
        windows_queued: model.windows_queued.load(Ordering::Relaxed),
        windows_closed: model.windows_closed.get(),
        windows_skipped: model.windows_skipped.get(),
        windows_produced: model.windows_produced.get(),
        windows_silent: model.windows_silent.get(),
        windows_dropped: model.windows_dropped.get(),
        dead_letters: reasons(&model.dead_letters),
        calls: model.batches.get(),
        failed_calls: model.failed_calls.get(),
        retries: model.retries.get(),
        rates: history.rates(index),
    });
    model.collect()
}

/// A key in JSON.
pub(super) fn key_text(key: Option<&crate::record::Key>) -> Option<KeyText> {
    key.map(KeyText::of)
}
