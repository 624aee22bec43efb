//! Windows and events that the model failed on, as records of the dead-letter topic: which one, what was in it, what
//! happened.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::{RawValue, to_raw_value};

use super::object::Object;
use super::{EncodedResult, Fate, ResultEncoder, identify};
use crate::batch::{Batch, Values};
use crate::config::{ModelConfig, Plan, Unit, hex};
use crate::context::ContextValue;
use crate::decode::Reason;
use crate::record::{Headers, OutRecord, Stream};

/// Values that take more than this as JSON are left in their topic, in bytes.
const LARGEST_VALUES: usize = 256 * 1024;
/// Longer texts are cut, in bytes: they go into headers and beside the values.
const LONGEST_DETAIL: usize = 1024;
const LONGEST_TRACEBACK: usize = 16 * 1024;

/// Why a window has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub reason: Reason,
    /// On one line, for people.
    pub detail: String,
    /// Where it was raised, as text.
    pub traceback: Option<String>,
}

impl ResultEncoder {
    /// Encodes a window of a batch that has failed.
    pub fn dead_letter(&self, plan: &Plan, batch: &Batch, index: usize, failure: &Failure) -> EncodedResult {
        let window = &batch.windows[index];
        let id = self.ids.of(window);
        let model = &plan.models[self.model];
        let detail = first(&failure.detail, LONGEST_DETAIL);
        let mut headers = vec![
            ("reason", failure.reason.code().as_bytes().to_vec()),
            ("detail", detail.as_bytes().to_vec()),
            ("topic", plan.sources[model.source].topic.as_bytes().to_vec()),
            ("partition", window.partition.to_string().into_bytes()),
            ("id", hex(&id).into_bytes()),
            ("group", plan.group_id.as_bytes().to_vec()),
            ("model", model.name.as_bytes().to_vec()),
        ];
        if self.ids.unit() == Unit::Event {
            headers.push(("offset", window.offsets.0.to_string().into_bytes()));
        }
        headers.extend(model.version.iter().map(|version| ("model-version", version.as_bytes().to_vec())));
        // Text, numbers and lists of them always serialize.
        let value = self.value(plan, batch, index, &hex(&id), failure).unwrap_or_default();
        let record = OutRecord {
            stream: Stream::DeadLetter,
            partition: self.keep_dead_partition.then_some(window.partition),
            key: Some(window.key.clone()),
            value: Some(value),
            timestamp: (window.end - 1).max(0),
            headers: Headers::Named(headers),
        };
        self.result(window, Fate::DeadLettered(failure.reason), Some(record))
    }

    fn value(
        &self,
        plan: &Plan,
        batch: &Batch,
        index: usize,
        id: &str,
        failure: &Failure,
    ) -> serde_json::Result<Vec<u8>> {
        let (model, window) = (&plan.models[self.model], &batch.windows[index]);
        let mut object = Object::new(512);
        object.entry("id", id)?;
        object.entry("model", &model.name)?;
        object.entry("version", &model.version)?;
        object.entry("sink", &model.sink)?;
        identify(&mut object, self.ids.unit(), window)?;
        object.entry("topic", &plan.sources[model.source].topic)?;
        object.entry("partition", &window.partition)?;
        object.entry("fields", &model.fields)?;
        if let Some(content) = Content::of(batch, index, model)? {
            object.entry("values", &content.values)?;
            if self.ids.unit() == Unit::Window {
                object.entry("timestamps", &content.timestamps)?;
            }
            object.entry("context", &content.context)?;
        } else if self.ids.unit() == Unit::Window {
            let (first, last) = window.offsets;
            object.entry("offsets", &Offsets { first, last })?;
        }
        object.entry("reason", failure.reason.code())?;
        object.entry("error", first(&failure.detail, LONGEST_TRACEBACK))?;
        // The end of it is where it was raised.
        let traceback = failure.traceback.as_deref().map(|text| last(text, LONGEST_TRACEBACK));
        object.entry("traceback", &traceback)?;
        Ok(object.end())
    }
}

/// Offsets between which all events of a window lie, both included.
#[derive(serde::Serialize)]
struct Offsets {
    first: i64,
    last: i64,
}

/// What a window holds, as JSON.
struct Content {
    values: Box<RawValue>,
    timestamps: Box<RawValue>,
    context: Box<RawValue>,
}

impl Content {
    /// None where it takes too much.
    fn of(batch: &Batch, index: usize, model: &ModelConfig) -> serde_json::Result<Option<Self>> {
        let (rows, width) = (batch.rows(index), model.fields.len());
        // Two characters a number is the least.
        if rows.len() * width * 2 > LARGEST_VALUES {
            return Ok(None);
        }
        let named = batch.contexts.as_ref().map(|contexts| {
            let fields = model.context.iter().zip(contexts[index].iter());
            fields.collect::<BTreeMap<&String, &ContextValue>>()
        });
        let content = Self {
            values: match &batch.values {
                Values::F64(values) => to_raw_value(&table(values, &rows, width))?,
                Values::F32(values) => to_raw_value(&table(values, &rows, width))?,
            },
            timestamps: to_raw_value(&batch.timestamps.as_ref().map(|times| &times[rows]))?,
            context: to_raw_value(&named.unwrap_or_default())?,
        };
        let Self { values, timestamps, context } = &content;
        let bytes: usize = [values, timestamps, context].iter().map(|part| part.get().len()).sum();
        Ok((bytes <= LARGEST_VALUES).then_some(content))
    }
}

/// Rows of a table.
fn table<'a, T>(values: &'a [T], rows: &Range<usize>, width: usize) -> Vec<&'a [T]> {
    rows.clone().map(|row| &values[row * width..(row + 1) * width]).collect()
}

/// The beginning of a text.
fn first(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The end of a text.
fn last(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
