//! How many windows of a partition are open, per model: counted now and then, since it takes a look at every key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::metrics::Metrics;
use crate::time::{Millis, Now};
use crate::window::PartitionWindows;

/// How often it is counted, and so much less often with many keys that it never takes more than a percent or so.
const EVERY_MS: Millis = 1_000;
const KEYS_PER_MS: usize = 100;

/// The share of one partition in the open windows of each model; given back with it.
#[derive(Debug)]
pub(super) struct OpenWindows {
    metrics: Arc<Metrics>,
    /// By the place of a model among those of the source: the model, and its open windows when last counted.
    counts: Vec<(usize, usize)>,
    counted_at: Option<Millis>,
}

impl OpenWindows {
    pub(super) fn new(models: &[usize], metrics: &Arc<Metrics>) -> Self {
        let counts = models.iter().map(|model| (*model, 0)).collect();
        Self { metrics: metrics.clone(), counts, counted_at: None }
    }

    /// Counts anew where it is time to.
    pub(super) fn count(&mut self, windows: &PartitionWindows, now: Now) {
        let every = EVERY_MS + (windows.open_keys() / KEYS_PER_MS) as Millis;
        if self.counted_at.is_some_and(|at| now.mono - at < every) {
            return;
        }
        self.counted_at = Some(now.mono);
        for (place, (model, count)) in self.counts.iter_mut().enumerate() {
            let open = windows.open_windows(place);
            let total = &self.metrics.models[*model].windows_open;
            total.fetch_add(open, Ordering::Relaxed);
            total.fetch_sub(std::mem::replace(count, open), Ordering::Relaxed);
        }
    }
}

impl Drop for OpenWindows {
    fn drop(&mut self) {
        for (model, count) in &self.counts {
            self.metrics.models[*model].windows_open.fetch_sub(*count, Ordering::Relaxed);
        }
    }
}
