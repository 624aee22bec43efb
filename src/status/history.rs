//! The last ten minutes, a point every second: rates, lag, and what calls and results took in that second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{State, snapshot};
use crate::config::Plan;
use crate::metrics::{Counter, Metrics, ModelMetrics, Snapshot, SourceMetrics};

/// Points that are kept.
const POINTS: usize = 600;

/// One second.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    /// Seconds since the start of the run.
    at: f64,
    events: f64,
    windows: f64,
    lag: i64,
    batch: Option<f64>,
    predict_p50: Option<f64>,
    predict_p99: Option<f64>,
    latency_p50: Option<f64>,
    latency_p99: Option<f64>,
    inflight: usize,
}

/// Rates of a model over the last second.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rates {
    pub(super) events: f64,
    pub(super) windows: f64,
    /// The share of the time of its workers that was spent in predict, 0 to 1.
    pub(super) busy: f64,
    pub(super) batch: Option<f64>,
    pub(super) predict_p50: Option<f64>,
    pub(super) predict_p99: Option<f64>,
}

/// What was counted at the end of a second.
#[derive(Debug)]
struct Counted {
    at: Instant,
    consumed: u64,
    commit: Snapshot,
    latency: Snapshot,
    models: Vec<CountedModel>,
}

#[derive(Debug)]
struct CountedModel {
    events: u64,
    windows: u64,
    predict: Snapshot,
    batch: Snapshot,
}

/// Points, oldest first, and the latest rates.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    last: Option<Counted>,
    models: Vec<Rates>,
    read: f64,
    commit: f64,
}

/// Events consumed.
pub(super) fn consumed(metrics: &Metrics) -> u64 {
    metrics.sources.iter().map(|source| source.consumed.get()).sum()
}

/// Records that are not processed yet, as far as known.
pub(super) fn lag(source: &SourceMetrics) -> i64 {
    source.partitions().values().filter_map(crate::metrics::PartitionGauges::lag).sum()
}

/// Windows that have met their fate.
pub(super) fn settled(model: &ModelMetrics) -> u64 {
    let fates = [&model.windows_produced, &model.windows_silent, &model.windows_dropped];
    fates.map(Counter::get).iter().sum::<u64>() + model.dead_letters_total()
}

fn since(now: &Snapshot, before: &Snapshot) -> Snapshot {
    let counts = now.counts.iter().zip(&before.counts).map(|(now, before)| now - before).collect();
    Snapshot { bounds: now.bounds.clone(), counts, sum: now.sum - before.sum, max: now.max }
}

fn mean(snapshot: &Snapshot) -> Option<f64> {
    (snapshot.count() > 0).then(|| snapshot.sum / snapshot.count() as f64)
}

impl Counted {
    fn now(metrics: &Metrics) -> Self {
        let model = |model: &ModelMetrics| CountedModel {
            events: model.events.get(),
            windows: settled(model),
            predict: model.predict_seconds.snapshot(),
            batch: model.batch_windows.snapshot(),
        };
        Self {
            at: Instant::now(),
            consumed: consumed(metrics),
            commit: metrics.commit_seconds.snapshot(),
            latency: metrics.end_to_end_seconds.snapshot(),
            models: metrics.models.iter().map(model).collect(),
        }
    }
}

impl History {
    /// A second has passed.
    fn tick(&mut self, plan: &Plan, metrics: &Metrics, began: Instant) {
        let now = Counted::now(metrics);
        let Some(last) = self.last.replace(now) else { return };
        let Some(now) = &self.last else { return };
        let seconds = (now.at - last.at).as_secs_f64().max(0.001);
        let rate = |now: u64, last: u64| (now - last) as f64 / seconds;
        self.read = rate(now.consumed, last.consumed);
        self.commit = (now.commit.sum - last.commit.sum) / seconds / plan.lanes as f64;
        let mut calls: Option<Snapshot> = None;
        let mut sizes: Option<Snapshot> = None;
        self.models.clear();
        for ((now, last), config) in now.models.iter().zip(&last.models).zip(&plan.models) {
            let (predict, batch) = (since(&now.predict, &last.predict), since(&now.batch, &last.batch));
            self.models.push(Rates {
                events: rate(now.events, last.events),
                windows: rate(now.windows, last.windows),
                busy: (predict.sum / seconds / config.workers as f64).min(1.0),
                batch: mean(&batch),
                predict_p50: predict.quantile(0.5),
                predict_p99: predict.quantile(0.99),
            });
            add(&mut calls, predict);
            add(&mut sizes, batch);
        }
        let latency = since(&now.latency, &last.latency);
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            at: (now.at - began).as_secs_f64(),
            events: self.read,
            windows: self.models.iter().map(|rates| rates.windows).sum(),
            lag: metrics.sources.iter().map(lag).sum(),
            batch: sizes.as_ref().and_then(mean),
            predict_p50: calls.as_ref().and_then(|calls| calls.quantile(0.5)),
            predict_p99: calls.as_ref().and_then(|calls| calls.quantile(0.99)),
            latency_p50: latency.quantile(0.5),
            latency_p99: latency.quantile(0.99),
            inflight: metrics.inflight.get(),
        });
    }

    /// The points from `skip` before the end on.
    pub(super) fn points(&self, most: usize) -> Vec<Point> {
        self.points.iter().skip(self.points.len().saturating_sub(most)).cloned().collect()
    }

    /// Of a model.
    pub(super) fn rates(&self, model: usize) -> Rates {
        self.models.get(model).cloned().unwrap_or_default()
    }

    /// Events read per second.
    pub(super) fn read(&self) -> f64 {
        self.read
    }

    /// The share of the time that was spent in commits, 0 to 1.
    pub(super) fn committing(&self) -> f64 {
        self.commit.min(1.0)
    }
}

fn add(sum: &mut Option<Snapshot>, more: Snapshot) {
    match sum {
        None => *sum = Some(more),
        Some(sum) => {
            sum.counts.iter_mut().zip(&more.counts).for_each(|(sum, more)| *sum += more);
            sum.sum += more.sum;
            sum.max = sum.max.max(more.max);
        }
    }
}

/// Every second: a point, and news for the pages that are open.
pub(super) async fn tell(state: &Arc<State>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        state.history().tick(&state.plan, &state.metrics, state.began);
        state.metrics.observer.forget_unwatched();
        if state.news.receiver_count() > 0 {
            state.news.send_replace(snapshot::text(state, false).into());
        }
    }
}
