//! Models that score every event: what comes waits for others to make a batch with, but not longer than its model
//! lets it, and not once its epoch is cut.

use super::Lane;
use super::partition::Partition;
use crate::batch::{Batch, Values, WindowMeta};
use crate::config::Unit;
use crate::decode::Event;
use crate::metrics::Metrics;
use crate::predict::{Size, Waiting};
use crate::record::Key;
use crate::strikes::Namer;
use crate::time::{Millis, Now};
use crate::window::{ClosedNow, Columns, Single};

impl Partition {
    /// An event goes to each model that scores it.
    pub(super) fn score(&mut self, event: &Event<'_>, offset: i64, since: Millis, metrics: &Metrics) {
        let models = self.singles.len();
        if models == 0 {
            return;
        }
        let (key, epoch) = (Key::from(event.key), self.windows.epoch());
        for singles in &mut self.singles {
            let single = Single { key: key.clone(), time: event.time, offset, epoch, since };
            singles.push(single, event.row, event.context);
        }
        self.closed(ClosedNow { windows: models, events: models }, metrics);
    }
}

impl Lane {
    /// Time goes on: what has waited long enough waits no more.
    pub fn at(&mut self, now: Now) {
        self.now = now.mono;
    }

    /// The place of a model among those of its source that score each event.
    fn place_of_scorer(&self, model: usize) -> Option<usize> {
        let source = &self.sources[self.plan.models[model].source];
        source.scorers.iter().position(|other| *other == model)
    }

    /// Events that are to go to a model now: full batches, and all of them once one has waited long enough or its
    /// epoch is cut.
    pub(super) fn scores_due(&self, model: usize) -> usize {
        let config = &self.plan.models[model];
        let (Some(place), Some(max_wait)) = (self.place_of_scorer(model), config.max_wait_ms) else {
            return 0;
        };
        let (mut waiting, mut urgent) = (0, false);
        for partition in
            self.partitions.iter().flatten().filter(|partition| partition.source == config.source)
        {
            let singles = &partition.singles[place];
            waiting += singles.len();
            urgent |= singles.first().is_some_and(|first| {
                first.epoch < partition.windows.epoch() || self.now.saturating_sub(first.since) >= max_wait
            });
        }
        if urgent { waiting } else { waiting / config.max_batch * config.max_batch }
    }

    /// The same as windows that wait.
    pub(super) fn scores_waiting(&self, model: usize) -> Option<Waiting> {
        let windows = self.scores_due(model);
        let place = self.place_of_scorer(model).filter(|_| windows > 0)?;
        let source = self.plan.models[model].source;
        let mine = self.partitions.iter().flatten().filter(|partition| partition.source == source);
        let uncut = mine.map(|partition| partition.singles[place].of_epoch(partition.windows.epoch())).sum();
        Some(Waiting { bucket: 0, windows, uncut: windows.min(uncut) })
    }

    /// Gathers events for a model into a batch of this size at the most.
    pub(super) fn score_batch(&mut self, model: usize, size: Size) -> Option<Batch> {
        let mut wanted = size.windows.min(size.events).min(self.scores_due(model));
        let place = self.place_of_scorer(model).filter(|_| wanted > 0)?;
        let config = &self.plan.models[model];
        let width = self.plan.sources[config.source].fields.len();
        let namer = Namer::new(&self.plan, model);
        let mut batch = Batch { model, values: Values::new(config.dtype), ..Batch::default() };
        batch.windows.reserve_exact(wanted);
        batch.values.reserve_exact(wanted * config.fields.len());
        batch.row_splits.extend(0..=wanted as i64);
        batch.contexts = (!config.context.is_empty()).then(|| Vec::with_capacity(wanted));
        let slots = self.partitions.len();
        for step in 0..slots {
            let index = (self.turn[model] + step) % slots;
            let Some(partition) = self.partitions[index].as_mut() else { continue };
            if partition.source != config.source || wanted == 0 {
                continue;
            }
            let count = partition.singles[place].len().min(wanted);
            let (owner, number) = (partition.assignment, partition.id.partition);
            let strikes = &partition.struck_events;
            let mut columns = Columns {
                times: None,
                values: &mut batch.values,
                pick: self.picks[model].as_deref(),
                contexts: batch.contexts.as_mut(),
                pick_context: self.context_picks[model].as_deref(),
            };
            partition.singles[place].gather(count, width, &mut columns, |event| {
                let Single { key, time, offset, epoch, .. } = event;
                let mut unit = WindowMeta::of_event((owner, epoch), number, key, time, offset);
                if !strikes.is_empty() {
                    unit.trust = strikes.judge(&namer, &unit);
                }
                batch.windows.push(unit);
            });
            wanted -= count;
        }
        self.turn[model] = (self.turn[model] + 1) % slots.max(1);
        Some(batch)
    }

    /// Whether a model scores each event.
    pub(super) fn scores(&self, model: usize) -> bool {
        self.plan.models[model].unit() == Unit::Event
    }
}
