//! A look at one key in all partitions of a lane.

use super::Lane;
use super::partition::Partition;
use crate::metrics::clock;
use crate::observe::{KeyModel, KeyState};
use crate::window::FIELDS;

impl Lane {
    /// What the partitions hold of a key. Nothing changes, and the cost is bounded.
    pub fn look(&self, key: &[u8]) -> Vec<KeyState> {
        self.partitions.iter().flatten().filter_map(|partition| self.look_into(partition, key)).collect()
    }

    fn look_into(&self, partition: &Partition, key: &[u8]) -> Option<KeyState> {
        let look = partition.windows.look(key)?;
        let models = &self.sources[partition.source].models;
        let models =
            look.windows.into_iter().zip(models).enumerate().map(|(place, (windows, model))| KeyModel {
                model: self.plan.models[*model].name.clone(),
                watermark: clock(partition.windows.watermark(place)),
                windows,
            });
        Some(KeyState {
            topic: partition.id.topic.to_string(),
            partition: partition.id.partition,
            clock: clock(partition.windows.clock()),
            fields: self.plan.sources[partition.source].fields.iter().take(FIELDS).cloned().collect(),
            n_events: look.n_events,
            events: look.events,
            truncated: look.truncated,
            models: models.collect(),
        })
    }
}
