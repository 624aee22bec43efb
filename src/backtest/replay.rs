//! The replay of one source: its events spread over shards by key, a thread for each, and their results merged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::RandomState;

use super::judge::Judged;
use super::shard::{Replayed, Shard};
use super::{Cause, Dropped, Options, Outcome, Progress, Results};
use crate::decode::{Reason, Rejected, Table};
use crate::error::{Error, Result};
use crate::predict::Model;
use crate::record::Key;
use crate::shared::Shared;
use crate::time::{BEFORE_ALL, Millis};

/// The replay of one source.
#[derive(Clone, Copy)]
pub(super) struct Replay<'a> {
    pub(super) shared: &'a Shared,
    pub(super) models: &'a [Arc<dyn Model>],
    pub(super) source: usize,
    pub(super) table: &'a Table,
    pub(super) chained: bool,
    pub(super) progress: &'a Progress,
}

/// The events of a shard: rows, and the clock of the partition before each.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) rows: Vec<u32>,
    pub(super) clocks: Vec<Millis>,
}

impl Replay<'_> {
    pub(super) fn run(&self, judged: Judged, options: &Options, outcome: &mut Outcome) -> Result<()> {
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
    pub(super) fn row(&self, row: usize, cause: Cause, detail: String) -> Dropped {
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
                    Err(error) => {
                        control.fail(Error::config(format!("a thread could not be started: {error}")));
                    }
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
