//! A model's rows to result records: JSON values, deterministic ids, the input's key and partition. What becomes of a
//! window without a result is in `dead_letter`.

mod dead_letter;
mod object;

pub use dead_letter::Failure;

use crate::batch::WindowMeta;
use crate::config::{Ids, Plan, Unit, hex};
use crate::decode::Reason;
use crate::error::{Error, Result};
use crate::lane::Routes;
use crate::predict::{Column, Outputs};
use crate::record::{Headers, OutRecord, Stream, shown_key};
use crate::time::Millis;
use object::{Object, field};

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Its result is produced.
    Produced,
    /// The model has nothing to say of it.
    Silent,
    /// It goes to the dead-letter topic.
    DeadLettered(Reason),
    /// It is counted, and that is all.
    Dropped,
}

/// A result and the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedResult {
    /// The assignment of its source partition.
    pub assignment: u64,
    /// The epoch its window closed in.
    pub epoch: u64,
    /// The window's end, or the offset of a single event: results of an epoch are ordered by (it, key bytes, model).
    pub place: i64,
    /// The window's end, or the time of a single event.
    pub end: Millis,
    /// The model.
    pub model: usize,
    /// The place of its model by name.
    pub rank: usize,
    /// What becomes of the window.
    pub fate: Fate,
    /// The record, where there is one.
    pub record: Option<OutRecord>,
}

/// A row on its way out.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoded {
    /// As it will be produced.
    Result(EncodedResult),
    /// Larger than its sink takes: this many bytes.
    TooLarge(usize),
}

/// What the records of one model have in common.
#[derive(Clone, Debug)]
pub struct ResultEncoder {
    model: usize,
    stream: Stream,
    ids: Ids,
    keep_partition: bool,
    keep_dead_partition: bool,
    /// The largest result that the sink takes, in bytes.
    largest: usize,
    rank: usize,
}

/// Bytes of a record beyond its key and value that a broker counts: headers, lengths, the batch around it.
const AROUND: usize = 512;

impl ResultEncoder {
    /// For the results of a model, to where `routes` say.
    pub fn new(plan: &Plan, model: usize, routes: &Routes) -> Self {
        let config = &plan.models[model];
        let rank = plan.models.iter().filter(|other| other.name < config.name).count();
        let sink = plan.sinks().iter().position(|sink| *sink == config.sink).unwrap_or(0);
        Self {
            model,
            stream: Stream::Sink(sink),
            ids: plan.ids(config),
            keep_partition: routes.sinks[model],
            keep_dead_partition: routes.dead_letters[config.source],
            largest: routes.largest_results[model],
            rank,
        }
    }

    /// The largest result that the sink takes, in bytes.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// A window that leaves no record.
    pub fn dropped(&self, window: &WindowMeta) -> EncodedResult {
        self.result(window, Fate::Dropped, None)
    }

    fn result(&self, window: &WindowMeta, fate: Fate, record: Option<OutRecord>) -> EncodedResult {
        EncodedResult {
            assignment: window.assignment,
            epoch: window.epoch,
            place: self.ids.unit().place(window),
            end: window.end,
            model: self.model,
            rank: self.rank,
            fate,
            record,
        }
    }

    /// Encodes a row for each window.
    pub fn encode(&self, plan: &Plan, windows: &[WindowMeta], outputs: &Outputs) -> Result<Vec<Encoded>> {
        let fields: Vec<Vec<u8>> = match outputs {
            Outputs::Columns(columns) => columns.iter().map(|(name, _)| field(name)).collect(),
            Outputs::Values(name, _) => vec![field(name)],
            Outputs::Rows(_) => Vec::new(),
        };
        let encoded = windows.iter().enumerate().map(|(row, window)| {
            if outputs.is_silent(row) {
                return Ok(Encoded::Result(self.result(window, Fate::Silent, None)));
            }
            let value = value(self.ids.unit(), window, outputs, &fields, row).map_err(|error| {
                Error::model(format!(
                    "a result of model {} cannot be written as JSON: {error}",
                    plan.models[self.model].name
                ))
            })?;
            let bytes = window.key.len() + value.len() + AROUND;
            if bytes > self.largest {
                return Ok(Encoded::TooLarge(bytes));
            }
            let id = self.ids.of(window);
            let record = OutRecord {
                stream: self.stream,
                partition: self.keep_partition.then_some(window.partition),
                key: Some(window.key.clone()),
                value: Some(value),
                timestamp: (window.end - 1).max(0),
                headers: Headers::Result { model: self.model, id },
            };
            Ok(Encoded::Result(self.result(window, Fate::Produced, Some(record))))
        });
        encoded.collect()
    }
}

fn value(
    unit: Unit,
    window: &WindowMeta,
    outputs: &Outputs,
    fields: &[Vec<u8>],
    row: usize,
) -> serde_json::Result<Vec<u8>> {
    let mut object = Object::new(128);
    identify(&mut object, unit, window)?;
    match outputs {
        Outputs::Columns(columns) => {
            for ((_, column), field) in columns.iter().zip(fields) {
                match column {
                    Column::Floats(rows) => object.field(field, &rows[row])?,
                    Column::Ints(rows) => object.field(field, &rows[row])?,
                    Column::Bools(rows) => object.field(field, &rows[row])?,
                    Column::Texts(rows) => object.field(field, &rows[row])?,
                    Column::Json(rows) => object.field(field, &rows[row])?,
                }
            }
        }
        Outputs::Values(_, rows) => {
            for field in fields {
                object.field(field, &rows[row])?;
            }
        }
        Outputs::Rows(rows) => {
            for (name, value) in rows[row].iter().flatten() {
                object.entry(name, value)?;
            }
        }
    }
    Ok(object.end())
}

/// What says which window or event it is, in a result and in a dead letter.
fn identify(object: &mut Object, unit: Unit, window: &WindowMeta) -> serde_json::Result<()> {
    const KEY: &[u8] = br#""key":"#;
    match std::str::from_utf8(&window.key) {
        Ok(text) => object.field(KEY, text)?,
        Err(_) => object.field(KEY, &HexKey { hex: hex(&window.key) })?,
    }
    match unit {
        Unit::Window => {
            object.pair((br#""window":{"start":"#, window.start), (br#""end":"#, window.end))?;
            object.field(br#""n_events":"#, &window.events)
        }
        Unit::Event => {
            object.field(br#""timestamp":"#, &window.start)?;
            object.field(br#""offset":"#, &window.offsets.0)
        }
    }
}

/// A key that is not UTF-8.
#[derive(serde::Serialize)]
struct HexKey {
    hex: String,
}

/// A window for people: its key and bounds; an event: its key and where it is.
pub fn describe(unit: Unit, window: &WindowMeta) -> String {
    let key = shown_key(&window.key);
    match unit {
        Unit::Window => format!("{key} [{}, {})", window.start, window.end),
        Unit::Event => format!("{key} at offset {} of partition {}", window.offsets.0, window.partition),
    }
}
