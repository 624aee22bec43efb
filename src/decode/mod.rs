//! Record bytes to an event: key, event time and the declared fields as one row. A pure function of the record,
//! since a replay must judge as the live run did.

mod json;
mod limits;
mod reason;
mod table;
mod timestamp;

pub use reason::{Reason, Rejected};
pub use table::{ContextColumn, KeyIds, NO_KEY, NO_TIME, Table, TimeCell, event_time};

use crate::config::{Missing, SourceConfig, TimestampUnit};
use crate::context::ContextValue;
use crate::record::RawRecord;
use crate::time::{MAX_TIME, Millis};
use json::{JsonDecoder, Scalar};

/// Values above it are not looked into.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// An event of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The event time.
    pub time: Millis,
    /// The declared fields, in order.
    pub row: &'a [f64],
    /// The declared context, in order.
    pub context: &'a [ContextValue],
}

/// How values are encoded; JSON is the first arm.
#[derive(Debug)]
enum Format {
    Json(JsonDecoder),
}

/// Decodes the records of one source.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    fields: Vec<String>,
    context: Vec<String>,
    key: Option<String>,
    timestamp: Option<String>,
    unit: TimestampUnit,
    missing_is_nan: bool,
    max_future: Option<Millis>,
    row: Vec<f64>,
    /// Kept from record to record for the memory of its texts.
    context_row: Vec<ContextValue>,
}

impl Decoder {
    /// A decoder for the records of `source`.
    pub fn new(source: &SourceConfig) -> Self {
        let (key, timestamp) = (source.key.as_deref(), source.timestamp.as_deref());
        let missing_is_nan = source.missing == Missing::Nan;
        Self {
            format: Format::Json(JsonDecoder::new(
                key,
                timestamp,
                &source.fields,
                &source.context,
                missing_is_nan,
            )),
            fields: source.fields.clone(),
            context: source.context.clone(),
            key: source.key.clone(),
            timestamp: source.timestamp.clone(),
            unit: source.timestamp_unit.unwrap_or_default(),
            missing_is_nan,
            max_future: source.max_future_ms,
            row: Vec::with_capacity(source.fields.len()),
            context_row: vec![ContextValue::Missing; source.context.len()],
        }
    }

    /// Decodes one record: its event, or why it is none. Checked in this order: size, depth, syntax, key,
    /// event time, fields, future guard.
    pub fn decode<'a>(&'a mut self, record: &RawRecord<'a>) -> Result<Event<'a>, Rejected> {
        let Some(value) = record.value else {
            return Err(Rejected::new(Reason::NotJson, "the value is null"));
        };
        limits::check(value)?;
        let Format::Json(json) = &mut self.format;
        json.parse(value)?;
        if self.key.is_none() && record.key.is_none() {
            return Err(Rejected::new(Reason::MissingKey, "the record has no key"));
        }
        json.check_key(self.key.as_deref())?;
        let (time, own_time) = match &self.timestamp {
            None => {
                let time = record.timestamp.ok_or_else(|| {
                    Rejected::new(
                        Reason::BadTimestamp,
                        "the record has no timestamp, and no field is declared",
                    )
                })?;
                (time, false)
            }
            Some(field) => (timestamp::read(json.time(), json.time_text(), self.unit, field)?, true),
        };
        in_range(time)?;
        self.row.clear();
        for (index, field) in self.fields.iter().enumerate() {
            self.row.push(number(json.field(index), field, self.missing_is_nan)?);
        }
        for (index, (field, to)) in self.context.iter().zip(&mut self.context_row).enumerate() {
            let (value, text) = json.context(index);
            context(value, text, field, self.missing_is_nan, to)?;
        }
        if own_time {
            not_ahead(time, record.timestamp, self.max_future)?;
        }
        let key = if self.key.is_some() { json.key() } else { record.key.unwrap_or_default() };
        Ok(Event { key, time, row: &self.row, context: &self.context_row })
    }
}

fn in_range(time: Millis) -> Result<(), Rejected> {
    if (-MAX_TIME..=MAX_TIME).contains(&time) {
        return Ok(());
    }
    let detail = format!("event time {time} ms is beyond +-{MAX_TIME} ms");
    Err(Rejected::new(Reason::BadTimestamp, detail).at(time))
}

/// The future guard, for event times that are not the record's own timestamp.
fn not_ahead(time: Millis, stamped: Option<Millis>, most: Option<Millis>) -> Result<(), Rejected> {
    if let (Some(ahead), Some(stamped)) = (most, stamped)
        && time > stamped.saturating_add(ahead)
    {
        let detail = format!(
            "event time {time} ms is {} ms ahead of the record's timestamp {stamped} ms; max_future is {ahead} ms",
            time - stamped
        );
        return Err(Rejected::new(Reason::FutureTimestamp, detail).at(time));
    }
    Ok(())
}

fn number(value: Scalar, field: &str, missing_is_nan: bool) -> Result<f64, Rejected> {
    match value {
        Scalar::Int(value) => Ok(value as f64),
        Scalar::Unsigned(value) => Ok(value as f64),
        Scalar::Float(value) => Ok(value),
        Scalar::Bool(value) => Ok(f64::from(u8::from(value))),
        Scalar::Missing | Scalar::Null if missing_is_nan => Ok(f64::NAN),
        Scalar::Missing | Scalar::Null => Err(missing(value, field)),
        Scalar::Text => {
            Err(Rejected::new(Reason::BadType, format!("field {field:?} is a string, not a number")))
        }
        Scalar::Wrong(kind) => {
            Err(Rejected::new(Reason::BadType, format!("field {field:?} is {kind}, not a number")))
        }
    }
}

/// Writes a value over the one of the record before.
fn context(
    value: Scalar,
    text: &str,
    field: &str,
    may_be_missing: bool,
    to: &mut ContextValue,
) -> Result<(), Rejected> {
    *to = match value {
        Scalar::Text => {
            if let ContextValue::Text(old) = to {
                old.clear();
                old.push_str(text);
                return Ok(());
            }
            ContextValue::Text(text.to_owned())
        }
        Scalar::Int(value) => ContextValue::Int(value),
        Scalar::Unsigned(value) => ContextValue::Unsigned(value),
        Scalar::Float(value) => ContextValue::Float(value),
        Scalar::Bool(value) => ContextValue::Bool(value),
        Scalar::Missing | Scalar::Null if may_be_missing => ContextValue::Missing,
        Scalar::Missing | Scalar::Null => return Err(missing(value, field)),
        Scalar::Wrong(kind) => {
            let detail = format!("context field {field:?} is {kind}, neither a string nor a number");
            return Err(Rejected::new(Reason::BadType, detail));
        }
    };
    Ok(())
}

fn missing(value: Scalar, field: &str) -> Rejected {
    let how = if value == Scalar::Null { "null" } else { "absent" };
    Rejected::new(Reason::MissingField, format!("field {field:?} is {how}"))
}

#[cfg(test)]
mod seeker_tests;
#[cfg(test)]
mod tests;
