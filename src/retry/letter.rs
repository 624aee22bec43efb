//! The dead letter of a window or of a single event, read back: which one it was, and what was in it. Values that it
//! does not hold are read from the source again.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;
use serde_json::Value;

use crate::config::{ModelConfig, Plan, Unit};
use crate::context::{Context, ContextValue, last_values, pick};
use crate::decode::Decoder;
use crate::error::Error;
use crate::record::TopicPartition;
use crate::source::{Replay, ReplayRange};
use crate::time::Millis;

/// The parts of a window's dead letter that its model is called with, and those that its result takes over.
#[derive(Debug, Deserialize)]
pub(super) struct Letter {
    /// The identity of the window.
    pub(super) id: String,
    /// Its bounds; of a single event the millisecond that it is in.
    #[serde(default)]
    pub(super) window: Bounds,
    /// How many events it has.
    #[serde(default)]
    pub(super) n_events: usize,
    /// When a single event was.
    #[serde(default)]
    timestamp: Option<Millis>,
    /// Where a single event is.
    #[serde(default)]
    offset: Option<i64>,
    /// Where they come from.
    topic: String,
    /// The source partition.
    pub(super) partition: i32,
    fields: Vec<String>,
    #[serde(default)]
    values: Option<Vec<Vec<Option<f64>>>>,
    #[serde(default)]
    timestamps: Option<Vec<Millis>>,
    #[serde(default)]
    context: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) offsets: Option<Offsets>,
}

/// From and until when.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Bounds {
    pub(super) start: Millis,
    pub(super) end: Millis,
}

/// Between which all events lie, both included.
#[derive(Debug, Deserialize)]
pub(super) struct Offsets {
    pub(super) first: i64,
    pub(super) last: i64,
}

/// What a window holds, as its model wants it.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    /// Row-major `(events, fields)`.
    pub(super) values: Vec<f64>,
    /// The events' times, where the letter has them.
    pub(super) timestamps: Option<Vec<Millis>>,
    /// The context of the window.
    pub(super) context: Context,
}

impl Letter {
    /// Reads the value of a dead letter.
    pub(super) fn parse(value: &[u8]) -> Result<Self, String> {
        let unreadable = |why: &dyn Display| format!("the dead letter cannot be read: {why}");
        let mut letter: Self = serde_json::from_slice(value).map_err(|error| unreadable(&error))?;
        if let (Some(time), Some(offset)) = (letter.timestamp, letter.offset) {
            letter.window = Bounds { start: time, end: time.saturating_add(1) };
            letter.n_events = 1;
            letter.timestamps = letter.values.is_some().then(|| vec![time]);
            letter.offsets = Some(Offsets { first: offset, last: offset });
        }
        if letter.n_events == 0 {
            return Err(unreadable(&"it is of no window, and of no event"));
        }
        Ok(letter)
    }

    /// What the window holds; from its source where the letter leaves it out. What is wrong is said in words.
    pub(super) fn content(
        &self,
        plan: &Plan,
        model: &ModelConfig,
        key: &[u8],
        replay: &mut dyn Replay,
    ) -> Result<Content, String> {
        let unit = if self.offset.is_some() { Unit::Event } else { Unit::Window };
        if unit != model.unit() {
            return Err(format!(
                "it is of one {}, and the model reads {}s now",
                unit.one(),
                model.unit().one()
            ));
        }
        let topic = &plan.sources[model.source].topic;
        if self.topic != *topic {
            return Err(format!(
                "its events are from topic {:?}, and the model reads {topic:?} now",
                self.topic
            ));
        }
        let content = match (&self.values, &self.offsets) {
            (Some(values), _) => self.kept(model, values)?,
            (None, Some(offsets)) => self.read(plan, model, key, offsets, replay)?,
            (None, None) => return Err("the dead letter holds neither values nor offsets".to_owned()),
        };
        if model.timestamps && content.timestamps.is_none() {
            return Err("it has no timestamps, which the model reads now".to_owned());
        }
        Ok(content)
    }

    fn kept(&self, model: &ModelConfig, rows: &[Vec<Option<f64>>]) -> Result<Content, String> {
        let absent = |field: &String| format!("it has no field {field:?}, which the model reads now");
        let place = |field| self.fields.iter().position(|name| name == field).ok_or_else(|| absent(field));
        let places = model.fields.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let fits = |row: &Vec<Option<f64>>| row.len() == self.fields.len();
        let times = self.timestamps.as_ref().is_none_or(|times| times.len() == rows.len());
        if rows.len() != self.n_events || !rows.iter().all(fits) || !times {
            return Err(format!("its values are not those of {} events", self.n_events));
        }
        let values = rows.iter().flat_map(|row| places.iter().map(|place| row[*place].unwrap_or(f64::NAN)));
        let context = self.context.as_ref();
        let value = |field: &String| {
            let value = context.and_then(|context| context.get(field)).ok_or_else(|| absent(field))?;
            scalar(value).ok_or_else(|| format!("its context {field:?} is {value}"))
        };
        Ok(Content {
            values: values.collect(),
            timestamps: self.timestamps.clone(),
            context: model.context.iter().map(value).collect::<Result<_, _>>()?,
        })
    }

    fn read(
        &self,
        plan: &Plan,
        model: &ModelConfig,
        key: &[u8],
        offsets: &Offsets,
        replay: &mut dyn Replay,
    ) -> Result<Content, String> {
        let source = &plan.sources[model.source];
        let places = |mine: &[String], all: &[String]| -> Vec<usize> {
            mine.iter().filter_map(|name| all.iter().position(|field| field == name)).collect()
        };
        let fields = places(&model.fields, &source.fields);
        let contexts = places(&model.context, &source.context);
        let mut decoder = Decoder::new(source);
        let mut events: Vec<(Millis, i64, Vec<f64>, Context)> = Vec::new();
        let partition = TopicPartition { topic: self.topic.as_str().into(), partition: self.partition };
        let range = ReplayRange { partition, from: offsets.first, to: offsets.last + 1 };
        // A window that was open at its last event was open at all records before it: none of them was late for it.
        let read = replay.read(&range, &|| false, &mut |record| {
            let offset = record.offset;
            let Ok(event) = decoder.decode(&record) else { return };
            if event.key == key && (self.window.start..self.window.end).contains(&event.time) {
                let row = fields.iter().map(|field| event.row[*field]).collect();
                events.push((event.time, offset, row, Context::from(event.context)));
            }
        });
        let place = format!("offsets {} to {} of {}", offsets.first, offsets.last, range.partition);
        match read {
            Ok(()) => {}
            Err(Error::LostHistory(_)) => {
                return Err(format!("its events are no longer in the log: {place} have been deleted"));
            }
            Err(error) => return Err(error.to_string()),
        }
        events.sort_by_key(|(time, offset, ..)| (*time, *offset));
        if events.len() != self.n_events {
            let (found, wanted) = (events.len(), self.n_events);
            return Err(format!("{place} hold {found} events of it, and it had {wanted}"));
        }
        let context = last_values(events.iter().rev().map(|(.., context)| context));
        Ok(Content {
            values: events.iter().flat_map(|(_, _, row, _)| row.iter().copied()).collect(),
            timestamps: Some(events.iter().map(|(time, ..)| *time).collect()),
            context: pick(context, Some(&contexts)),
        })
    }
}

/// A value of a context field; none where it cannot be one.
fn scalar(value: &Value) -> Option<ContextValue> {
    Some(match value {
        Value::Null => ContextValue::Missing,
        Value::Bool(value) => ContextValue::Bool(*value),
        Value::String(text) => ContextValue::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => ContextValue::Int(number),
            (_, Some(number), _) => ContextValue::Unsigned(number),
            (.., Some(number)) => ContextValue::Float(number),
            _ => return None,
        },
        Value::Array(_) | Value::Object(_) => return None,
    })
}
