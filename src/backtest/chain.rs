//! A chained source: the results of its upstream as the log that it would read, record by record.

use super::judge::{Judged, Watch};
use super::results::Results;
use crate::config::Plan;
use crate::context::ContextValue;
use crate::decode::{ContextColumn, Decoder, KeyIds, NO_KEY, NO_TIME, Table};
use crate::error::Result;
use crate::record::RawRecord;

/// Reads the results that go to the topic of `source`; their bytes are not needed after that.
pub(super) fn read(plan: &Plan, source: usize, results: &mut [Results]) -> Result<(Table, Judged)> {
    let config = &plan.sources[source];
    let Some(sink) = plan.sinks().iter().position(|sink| *sink == config.topic) else {
        return Ok(Default::default());
    };
    let written = &mut results[sink];
    let mut decoder = Decoder::new(config);
    let (mut table, mut judged, mut keys) = (Table::default(), Judged::default(), KeyIds::default());
    table.contexts = vec![ContextColumn::default(); config.context.len()];
    let partitions = written.partitions.iter().max().map_or(1, |highest| highest + 1);
    let mut watch = Watch::new(config, partitions);
    let mut offsets = vec![0; partitions as usize];
    for (row, value) in written.take_values().into_iter().enumerate() {
        let partition = written.partitions[row];
        let offset = offsets[partition as usize];
        offsets[partition as usize] += 1;
        let stamp = (written.ends[row] - 1).max(0);
        let record =
            RawRecord { offset, key: Some(&written.keys[row]), value: Some(&value), timestamp: Some(stamp) };
        table.partitions.push(partition);
        table.offsets.push(offset);
        match decoder.decode(&record) {
            Ok(event) => {
                watch.probe.see(event.time, Some(stamp))?;
                let id = keys.id(event.key);
                watch.key(event.key, id, partition)?;
                table.key_ids.push(id);
                table.times.push(event.time);
                table.values.extend_from_slice(event.row);
                for (column, value) in table.contexts.iter_mut().zip(event.context) {
                    column.push(value.clone());
                }
                judged.accepted.push(row as u32);
            }
            Err(rejected) => {
                if let Some(time) = rejected.time {
                    watch.probe.see(time, Some(stamp))?;
                }
                table.key_ids.push(NO_KEY);
                table.times.push(NO_TIME);
                table.values.resize(table.values.len() + config.fields.len(), f64::NAN);
                table.contexts.iter_mut().for_each(|column| column.push(ContextValue::Missing));
                judged.rejected.push((row as u32, rejected));
            }
        }
    }
    table.keys = keys.into_keys();
    Ok((table, judged))
}
