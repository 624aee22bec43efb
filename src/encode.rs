//! A model's rows to result records: JSON values, deterministic ids, the input's key and partition.

use serde::ser::{SerializeMap, Serializer};

use crate::batch::WindowMeta;
use crate::config::Plan;
use crate::config::hex;
use crate::error::{Error, Result};
use crate::predict::{Column, Outputs};
use crate::record::{Headers, OutRecord, Stream};
use crate::time::Millis;

/// A result and the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedResult {
    /// The assignment of its source partition.
    pub assignment: u64,
    /// The epoch its window closed in.
    pub epoch: u64,
    /// The window's end: results of an epoch are ordered by (end, key bytes, model).
    pub end: Millis,
    /// The place of its model by name.
    pub rank: usize,
    /// Its model.
    pub model: usize,
    /// The record; none where the model has nothing to say of the window.
    pub record: Option<OutRecord>,
}

/// What the records of one model have in common.
#[derive(Clone, Debug)]
pub struct ResultEncoder {
    model: usize,
    stream: Stream,
    fingerprint: [u8; 16],
    keep_partition: bool,
    rank: usize,
}

impl ResultEncoder {
    /// For the results of a model; `keep_partition` where its sink has as many partitions as its source.
    pub fn new(plan: &Plan, model: usize, keep_partition: bool) -> Self {
        let config = &plan.models[model];
        let rank = plan.models.iter().filter(|other| other.name < config.name).count();
        let sink = plan.sinks().iter().position(|sink| *sink == config.sink).unwrap_or(0);
        Self {
            model,
            stream: Stream::Sink(sink),
            fingerprint: plan.fingerprint(config),
            keep_partition,
            rank,
        }
    }

    /// Encodes a row for each window.
    pub fn encode(
        &self,
        plan: &Plan,
        windows: &[WindowMeta],
        outputs: &Outputs,
    ) -> Result<Vec<EncodedResult>> {
        let record = |row: usize, window: &WindowMeta| {
            let value = value(window, outputs, row).map_err(|error| {
                Error::model(format!(
                    "a result of model {} cannot be written as JSON: {error}",
                    plan.models[self.model].name
                ))
            })?;
            let id =
                plan.window_id(&self.fingerprint, window.partition, &window.key, window.start, window.end);
            Ok(OutRecord {
                stream: self.stream,
                partition: self.keep_partition.then_some(window.partition),
                key: Some(window.key.clone()),
                value: Some(value),
                timestamp: (window.end - 1).max(0),
                headers: Headers::Result { model: self.model, id },
            })
        };
        let encoded = windows.iter().enumerate().map(|(row, window)| {
            Ok(EncodedResult {
                assignment: window.assignment,
                epoch: window.epoch,
                end: window.end,
                rank: self.rank,
                model: self.model,
                record: (!outputs.is_silent(row)).then(|| record(row, window)).transpose()?,
            })
        });
        encoded.collect()
    }
}

fn value(window: &WindowMeta, outputs: &Outputs, row: usize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut map = serializer.serialize_map(None)?;
    match std::str::from_utf8(&window.key) {
        Ok(text) => map.serialize_entry("key", text)?,
        Err(_) => map.serialize_entry("key", &HexKey { hex: hex(&window.key) })?,
    }
    map.serialize_entry("window", &Bounds { start: window.start, end: window.end })?;
    map.serialize_entry("n_events", &window.events)?;
    match outputs {
        Outputs::Columns(columns) => {
            for (name, column) in columns {
                match column {
                    Column::Floats(rows) => map.serialize_entry(name, &rows[row])?,
                    Column::Ints(rows) => map.serialize_entry(name, &rows[row])?,
                    Column::Bools(rows) => map.serialize_entry(name, &rows[row])?,
                    Column::Texts(rows) => map.serialize_entry(name, &rows[row])?,
                    Column::Json(rows) => map.serialize_entry(name, &rows[row])?,
                }
            }
        }
        Outputs::Values(name, rows) => map.serialize_entry(name, &rows[row])?,
        Outputs::Rows(rows) => {
            for (name, value) in rows[row].iter().flatten() {
                map.serialize_entry(name, value)?;
            }
        }
    }
    map.end()?;
    Ok(bytes)
}

#[derive(serde::Serialize)]
struct Bounds {
    start: Millis,
    end: Millis,
}

/// A key that is not UTF-8.
#[derive(serde::Serialize)]
struct HexKey {
    hex: String,
}
