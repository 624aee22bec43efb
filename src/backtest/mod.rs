//! Tables through the engine, without a broker: typed rows in, columns of results out. Keys are spread over shards,
//! each a lane on a thread of its own that is told the clock of the whole partition; sources go one after the other,
//! upstream first, so a chained model reads the results as a log.

mod cells;
mod chain;
mod dropped;
mod judge;
mod order;
mod replay;
mod results;
mod shard;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use cells::Cells;
pub use dropped::{Cause, Dropped};
pub use order::{Disorder, Order};
pub use results::Results;
pub use turn::OneAtATime;

use crate::config::{Plan, Start};
use crate::decode::Table;
use crate::error::Result;
use crate::predict::Model;
use crate::shared::Shared;
use replay::Replay;

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

/// The plan as a backtest runs it: from the first row on, called by so many threads, without the limits that protect a
/// live process.
pub fn offline(plan: &Plan, workers: usize) -> Plan {
    let mut plan = plan.clone();
    plan.start = Start::Earliest;
    (plan.max_state_bytes, plan.max_keys, plan.max_events_per_key) = (None, None, None);
    for model in &mut plan.models {
        model.timeout_ms = None;
        model.workers = workers;
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
    dropped::sort(&mut outcome.dropped);
    Ok(outcome)
}
