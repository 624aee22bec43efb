//! Tables through the engine, without a broker: typed rows in, columns of results out. Keys are spread over shards,
//! each a lane on a thread of its own that is told the clock of the whole partition; sources go one after the other,
//! upstream first, so a chained model reads the results as a log.

mod cells;
mod chain;
mod judge;
mod order;
mod results;
mod shard;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

pub use cells::Cells;
pub use order::{Disorder, Order};
pub use results::Results;
pub use turn::OneAtATime;

use crate::config::{Plan, Start};
use crate::decode::{Reason, Rejected, Table};
use crate::error::{Error, Result};
use crate::predict::Model;
use crate::record::Key;
use crate::shared::Shared;
use crate::time::{BEFORE_ALL, Millis};
use judge::Judged;
use shard::{Replayed, Shard};

/// How far a backtest has come, in events.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Events done, and events known of.
    pub fn get(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// Why something has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An event came too late for windows of a model.
    Late,
    /// A row is no event, or a window met an error.
    DeadLetter(Reason),
}

impl Cause {
    /// As it stands in frames.
    pub fn code(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::DeadLetter(reason) => reason.code(),
        }
    }
}

/// A row without an event, an event that was late, or a window that has no result because the model failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// The source, by place in the plan.
    pub source: usize,
    /// Why.
    pub cause: Cause,
    /// What exactly, for people.
    pub detail: String,
    /// The row of the table, where it is one of a table.
    pub row: Option<u64>,
    /// The partition.
    pub partition: i32,
    /// The offset, where it is a row.
    pub offset: Option<i64>,
    /// The key, where there is one.
    pub key: Option<Key>,
    /// The model, where it is about one.
    pub model: Option<usize>,
    /// The start of the window, or of the first one missed.
    pub start: Option<Millis>,
    /// The end of the window, or of the last one missed.
    pub end: Option<Millis>,
    /// How many windows.
    pub windows: i64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By sink, in the order of `Plan::sinks`.
    pub results: Vec<Results>,
    /// What has no result, and why.
    pub dropped: Vec<Dropped>,
}

/// How tables are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// In which order.
    pub order: Order,
    /// Whether windows that are open at the end are emitted too.
    pub drain: bool,
    /// Threads.
    pub workers: usize,
}

/// The plan as a backtest runs it: from the first row on, without the limits that protect a live process.
pub fn offline(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.start = Start::Earliest;
    (plan.max_state_bytes, plan.max_keys, plan.max_events_per_key) = (None, None, None);
    for model in &mut plan.models {
        model.timeout_ms = None;
    }
    plan
}

/// Replays one table per source, none for those that are chained or stay empty.
pub fn run(
    shared: &Shared,
    models: &[Arc<dyn Model>],
    mut tables: Vec<Option<Table>>,
    options: &Options,
    progress: &Progress,
) -> Result<Outcome> {
    let plan = &shared.plan;
    let rows: usize = tables.iter().flatten().map(Table::rows).sum();
    progress.total.store(rows as u64, Ordering::Relaxed);
    let mut outcome = Outcome { results: vec![Results::default(); plan.sinks().len()], dropped: Vec::new() };
    for source in plan.sources_in_order() {
        let chained = plan.is_chained(source);
        let (table, judged) = if chained {
            let (table, judged) = chain::read(plan, source, &mut outcome.results)?;
            progress.total.fetch_add(table.rows() as u64, Ordering::Relaxed);
            (table, judged)
        } else {
            let Some(mut table) = tables.get_mut(source).and_then(Option::take) else { continue };
            table.number();
            let judged = judge::rows(&plan.sources[source], &table)?;
            (table, judged)
        };
        let order = if chained { Order::Row } else { options.order };
        let replay = Replay { shared, models, source, table: &table, chained, progress };
        replay.run(judged, &Options { order, ..*options }, &mut outcome)?;
    }
    order::sort_dropped(&mut outcome.dropped);
    Ok(outcome)
}

/// The replay of one source.
#[derive(Clone, Copy)]
struct Replay<'a> {
    shared: &'a Shared,
    models: &'a [Arc<dyn Model>],
    source: usize,
    table: &'a Table,
    chained: bool,
    progress: &'a Progress,
}

/// The events of a shard: rows, and the clock of the partition before each.
#[derive(Debug, Default)]
struct Part {
    rows: Vec<u32>,
    clocks: Vec<Millis>,
}

impl Replay<'_> {
    fn run(&self, judged: Judged, options: &Options, outcome: &mut Outcome) -> Result<()> {
        let Self { shared, source, table, .. } = *self;
        let Judged { mut accepted, rejected } = judged;
        let counters = &shared.metrics.sources[source];
        counters.consumed.add((accepted.len() + rejected.len()) as u64);
        self.progress.done.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        self.tell(&rejected, accepted.len());
        for (row, why) in rejected {
            counters.dead_letter(why.reason);
            outcome.dropped.push(self.row(row as usize, Cause::DeadLetter(why.reason), why.detail));
        }
        options.order.arrange(&shared.plan.sources[source].topic, table, &mut accepted)?;
        let (parts, clocks) = self.spread(&accepted, options.workers);
        drop(accepted);
        let replayed = self.shards(parts, &clocks, options)?;
        let mut results: Vec<Vec<Results>> = (0..outcome.results.len()).map(|_| Vec::new()).collect();
        for Replayed { results: parts, dropped } in replayed {
            outcome.dropped.extend(dropped);
            for (all, part) in results.iter_mut().zip(parts) {
                all.push(part);
            }
        }
        for (merged, parts) in outcome.results.iter_mut().zip(results) {
            // Models that share a sink have one source.
            if parts.iter().any(|part| part.rows() > 0) {
                *merged = Results::merge(parts);
            }
        }
        Ok(())
    }

    /// Says how many rows are no events: nothing is left out in silence.
    fn tell(&self, rejected: &[(u32, Rejected)], accepted: usize) {
        let Some((row, first)) = rejected.first() else { return };
        let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
        for (_, why) in rejected {
            *reasons.entry(why.reason).or_default() += 1;
        }
        let reasons: Vec<String> = reasons.iter().map(|(reason, rows)| format!("{reason} {rows}")).collect();
        self.shared.log.warning(
            "backtest",
            format!(
                "{} of {} rows of topic {:?} are no events: {}. The first is row {row}: {}. with_dropped=True returns \
                 them all",
                rejected.len(),
                rejected.len() + accepted,
                self.shared.plan.sources[self.source].topic,
                reasons.join(", "),
                first.detail
            ),
        );
    }

    /// A row that is to be told of.
    fn row(&self, row: usize, cause: Cause, detail: String) -> Dropped {
        let table = self.table;
        let key = table.keys.get(table.key_ids[row] as usize).cloned();
        Dropped {
            source: self.source,
            cause,
            detail,
            row: (!self.chained).then_some(row as u64),
            partition: table.partition(row),
            offset: Some(table.offsets[row]),
            key,
            model: None,
            start: None,
            end: None,
            windows: 0,
        }
    }

    /// Spreads events over shards by key; also the clock of each partition at the end.
    fn spread(&self, accepted: &[u32], shards: usize) -> (Vec<Part>, Vec<Millis>) {
        let table = self.table;
        // Any hash will do: what comes out does not depend on it.
        let hash = RandomState::with_seeds(1, 2, 3, 4);
        let shard = |key: &Key| (hash.hash_one(key) % shards as u64) as u32;
        let shard_of: Vec<u32> = table.keys.iter().map(shard).collect();
        let mut clocks = vec![BEFORE_ALL; table.partition_count() as usize];
        let mut parts: Vec<Part> = (0..shards).map(|_| Part::default()).collect();
        for row in accepted {
            let index = *row as usize;
            let clock = &mut clocks[table.partition(index) as usize];
            let part = &mut parts[shard_of[table.key_ids[index] as usize] as usize];
            part.rows.push(*row);
            part.clocks.push(*clock);
            *clock = table.times[index].max(*clock);
        }
        (parts, clocks)
    }

    /// Runs each part on a thread of its own.
    fn shards(&self, parts: Vec<Part>, clocks: &[Millis], options: &Options) -> Result<Vec<Replayed>> {
        let control = &self.shared.control;
        let replayed = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (worker, part) in parts.into_iter().enumerate() {
                let (replay, drain) = (*self, options.drain);
                let name = format!("millstream-backtest-{worker}");
                let thread = std::thread::Builder::new().name(name.clone()).spawn_scoped(scope, move || {
                    let mut replayed = Replayed::default();
                    control.guard(&name, || {
                        replayed = Shard::run(&replay, worker, part, clocks, drain)?;
                        Ok(())
                    });
                    replayed
                });
                match thread {
                    Ok(thread) => threads.push(thread),
                    Err(error) => control.fail(Error::config(format!("a thread could not be started: {error}"))),
                }
            }
            // A panic has been caught and told by the guard.
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        match control.take_error() {
            Some(error) => Err(error),
            None if control.stopping() => Err(Error::Ended("the backtest was stopped".to_owned())),
            None => Ok(replayed),
        }
    }
}
