//! Which rows are events, and what stops a backtest as it would stop a run: a unit that is plainly another one, a key
//! field that does not decide the partition.

use std::sync::Arc;

use crate::config::SourceConfig;
use crate::decode::{Rejected, Table};
use crate::error::Result;
use crate::lane::guard::{KeyGuard, UnitProbe};
use crate::record::{RawRecord, TopicPartition};

/// What rows are.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Those that are events.
    pub(super) accepted: Vec<u32>,
    /// The others, and why.
    pub(super) rejected: Vec<(u32, Rejected)>,
}

/// Judges every row of a table.
pub(super) fn rows(source: &SourceConfig, table: &Table) -> Result<Judged> {
    let mut judged = Judged::default();
    let mut watch = Watch::new(source, table.partition_count());
    for row in 0..table.rows() {
        match table.look(row, source) {
            Ok(()) => {
                watch.probe.see(table.times[row], table.stamp(row))?;
                let id = table.key_ids[row];
                watch.key(&table.keys[id as usize], id, table.partition(row))?;
                judged.accepted.push(row as u32);
            }
            Err(rejected) => {
                if let Some(time) = rejected.time {
                    watch.probe.see(time, table.stamp(row))?;
                }
                judged.rejected.push((row as u32, rejected));
            }
        }
    }
    Ok(judged)
}

/// Looks for what stops a run.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) probe: UnitProbe,
    keys: KeyGuard,
    /// By key id, where it was seen last.
    places: Vec<i32>,
    topic: Arc<str>,
}

impl Watch {
    pub(super) fn new(source: &SourceConfig, partitions: i32) -> Self {
        let mut keys = KeyGuard::new(source);
        if partitions <= 1 {
            keys.close();
        }
        let topic = Arc::from(source.topic.as_str());
        Self { probe: UnitProbe::new(source), keys, places: Vec::new(), topic }
    }

    /// Looks at the key of an event.
    #[inline]
    pub(super) fn key(&mut self, key: &[u8], id: u32, partition: i32) -> Result<()> {
        let id = id as usize;
        if self.places.get(id) == Some(&partition) {
            return Ok(());
        }
        if id >= self.places.len() {
            self.places.resize(id + 1, -1);
        }
        self.places[id] = partition;
        // Rows do not tell whether their records have keys of their own.
        let record = RawRecord { offset: 0, key: Some(key), value: None, timestamp: None };
        self.keys.see(key, &record, &TopicPartition { topic: self.topic.clone(), partition })
    }
}
