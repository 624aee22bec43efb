//! How much is late, and by how much: once a minute, where more than 0.1 % of the pairs of an event and a window
//! were late, a warning names the observed lateness and the grace that would cover it.

use crate::config::Plan;
use crate::log::{Log, Said};
use crate::record::TopicPartition;
use crate::time::Millis;
use crate::window::{Counts, Missed};

/// Late events looked at per minute; more would not change the percentile that is told.
const SAMPLE: usize = 4096;

#[derive(Debug, Default)]
struct Minute {
    pairs: u64,
    late: u64,
    /// By how much a grace was too small.
    short_by: Vec<Millis>,
}

/// The lateness of the models of a partition.
#[derive(Debug)]
pub(super) struct Lateness {
    models: Vec<Minute>,
}

impl Lateness {
    pub(super) fn new(models: usize) -> Self {
        Self { models: (0..models).map(|_| Minute::default()).collect() }
    }

    /// An event missed windows that start from `missed.first_start` on and are `size` long.
    pub(super) fn see(&mut self, missed: &Missed, size: Millis) {
        let minute = &mut self.models[missed.model];
        if minute.short_by.len() < SAMPLE {
            // The first window that it missed would have needed the watermark to be before its end.
            minute.short_by.push(missed.watermark - (missed.first_start + size) + 1);
        }
    }

    pub(super) fn counted(&mut self, place: usize, counts: &Counts) {
        self.models[place].pairs += counts.pairs;
        self.models[place].late += counts.late_pairs;
    }

    /// Says what the last minute was like, and begins a new one.
    pub(super) fn warn(&mut self, models: &[usize], plan: &Plan, partition: &TopicPartition, log: &Log) {
        for (minute, model) in self.models.iter_mut().zip(models) {
            let Minute { pairs, late, mut short_by } = std::mem::take(minute);
            if late * 1000 <= pairs || short_by.is_empty() {
                continue;
            }
            short_by.sort_unstable();
            let p99 = short_by[(short_by.len() * 99 / 100).min(short_by.len() - 1)];
            let model = &plan.models[*model];
            let grace = model.grace_ms;
            let text = format!(
                "{partition}: {late} of {pairs} pairs of an event and a window were too late for model {} in the last \
                 minute (more than 0.1 %). 99 % of them missed by up to {p99} ms: grace={:?} instead of {grace} ms would \
                 have covered those",
                model.name,
                format!("{}ms", grace + p99),
            );
            log.warning("windows", Said::from(text).model(&model.name).partition(partition));
        }
    }
}
