//! The plan of an app: plain data, as it comes from the Python layer, and what its parts mean together.

mod check;
mod identity;
mod lengths;

pub use identity::Ids;
pub(crate) use identity::hex;
pub use lengths::LengthBuckets;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::time::Millis;
use crate::window::Aligned;

/// How sure an app is of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Results, offsets and state move together in Kafka transactions.
    ExactlyOnce,
    /// After a crash results may repeat, with the same id and content.
    AtLeastOnce,
}

/// Where a group that has never committed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
}

/// What becomes of a record without a declared field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It goes to the dead-letter topic.
    DeadLetter,
    /// The field is NaN.
    Nan,
}

/// What becomes of an event that is too late for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// It is counted.
    Drop,
    /// It is counted, and goes to the late topic.
    Topic,
}

/// What becomes of a window that the model fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes to the dead-letter topic.
    DeadLetter,
    /// The run ends with the exception.
    Fail,
    /// It is counted.
    Skip,
}

/// What the workers of a model are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Threads of this process.
    #[default]
    Threads,
    /// Processes, each with an instance of the model: what runs a call can be ended.
    Processes,
}

/// The unit of a timestamp field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Milliseconds since the epoch.
    #[default]
    Ms,
    /// Seconds since the epoch.
    S,
    /// Microseconds since the epoch.
    Us,
    /// Nanoseconds since the epoch.
    Ns,
    /// RFC 3339 text.
    Rfc3339,
}

impl TimestampUnit {
    /// Milliseconds in one unit.
    pub fn millis(self) -> f64 {
        match self {
            Self::S => 1000.0,
            Self::Us => 0.001,
            Self::Ns => 0.000_001,
            Self::Ms | Self::Rfc3339 => 1.0,
        }
    }

    /// What a timestamp of this unit looks like.
    pub fn wants(self) -> &'static str {
        match self {
            Self::Ms => "a number of milliseconds since 1970",
            Self::S => "a number of seconds since 1970",
            Self::Us => "a number of microseconds since 1970",
            Self::Ns => "a number of nanoseconds since 1970",
            Self::Rfc3339 => "RFC 3339 text",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::S => "s",
            Self::Us => "us",
            Self::Ns => "ns",
            Self::Rfc3339 => "rfc3339",
        }
    }
}

/// The encoding of values; JSON is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per value.
    Json,
}

/// The type of the values that a model reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Double precision.
    #[default]
    Float64,
    /// Single precision.
    Float32,
}

/// A source topic: the union of what the app's models declare of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The topic.
    pub topic: String,
    /// The field that holds the key; none is the record's key.
    pub key: Option<String>,
    /// The field that holds the event time; none is the record's timestamp.
    pub timestamp: Option<String>,
    /// Its unit; none is milliseconds, and watched.
    pub timestamp_unit: Option<TimestampUnit>,
    /// Numeric fields, in feature order.
    pub fields: Vec<String>,
    /// Fields of strings or numbers, of which a window has the last value.
    pub context: Vec<String>,
    /// What becomes of records without one.
    pub missing: Missing,
    /// The encoding.
    pub format: Format,
    /// The idle rule's time-out; none is off.
    pub idle_timeout_ms: Option<Millis>,
    /// How far event time may be ahead of the record's timestamp; none is any.
    pub max_future_ms: Option<Millis>,
    /// Whether per-partition windows of a key field are meant.
    pub scattered: bool,
}

/// What a model is called with, one row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Windows.
    Window,
    /// Single events: each is a unit that is closed as soon as it is there.
    Event,
}

impl Unit {
    /// The word for one.
    pub fn one(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Event => "event",
        }
    }
}

/// A model and its windows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Unique in the app.
    pub name: String,
    /// The model's own version.
    pub version: Option<String>,
    /// Its source, by place.
    pub source: usize,
    /// Window size.
    pub size_ms: Millis,
    /// Distance between window starts.
    pub hop_ms: Millis,
    /// Shift of all window starts.
    pub offset_ms: Millis,
    /// How long the watermark stays behind the clock.
    pub grace_ms: Millis,
    /// Smaller windows are skipped and counted.
    pub min_events: usize,
    /// The sink topic.
    pub sink: String,
    /// Windows per call at the most.
    pub max_batch: usize,
    /// Events per call at the most, but for a single window with more of them; none is any number.
    pub max_batch_events: Option<usize>,
    /// Which of its windows may share a call.
    #[serde(default)]
    pub length_buckets: LengthBuckets,
    /// How long a call should take at the most; none is any time.
    pub target_ms: Option<Millis>,
    /// Threads that call it.
    pub workers: usize,
    /// What becomes of late events.
    pub late: Late,
    /// What becomes of windows that it fails on.
    pub on_error: OnError,
    /// How often a call that raised is made again.
    pub retries: u32,
    /// What its workers are.
    #[serde(default)]
    pub pool: PoolKind,
    /// How long a call may take; none is any time.
    pub timeout_ms: Option<Millis>,
    /// Its fields, in its order, out of the source's.
    pub fields: Vec<String>,
    /// Its context fields, in its order, out of the source's.
    pub context: Vec<String>,
    /// The type of its values.
    pub dtype: DType,
    /// Whether it reads the event times.
    pub timestamps: bool,
    /// Windows that its dense arrays have at the least; none is as many as there are.
    pub pad_batch_to: Option<usize>,
    /// The fields of its results, by column; none is what it returns.
    pub outputs: Option<Vec<String>>,
    /// For a model of single events: how long one waits for others to make a batch with. None: it is one of windows.
    #[serde(default)]
    pub max_wait_ms: Option<Millis>,
}

impl ModelConfig {
    /// How long a call may take that only the end of the run can end.
    pub fn thread_timeout(&self) -> Option<Duration> {
        let limit = self.timeout_ms.filter(|_| self.pool == PoolKind::Threads);
        limit.map(|ms| Duration::from_millis(ms.unsigned_abs()))
    }

    /// Its windows.
    pub fn windows(&self) -> Aligned {
        Aligned { size: self.size_ms, hop: self.hop_ms, offset: self.offset_ms }
    }

    /// What it is called with.
    pub fn unit(&self) -> Unit {
        if self.max_wait_ms.is_some() { Unit::Event } else { Unit::Window }
    }
}

/// Everything that an app has been told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The app's name.
    pub name: String,
    /// Bootstrap servers, or `embedded`.
    pub brokers: String,
    /// The delivery guarantee.
    pub guarantee: Guarantee,
    /// The consumer group.
    pub group_id: String,
    /// librdkafka settings, verbatim.
    pub kafka: BTreeMap<String, String>,
    /// Group members in this process.
    pub lanes: usize,
    /// How often an epoch is cut; none finds it.
    pub epoch_ms: Option<Millis>,
    /// Where a new group begins.
    pub start: Start,
    /// Whether missing topics of ours are created.
    pub create_topics: bool,
    /// The dead-letter topic.
    pub dead_letter_topic: String,
    /// The late topic.
    pub late_topic: String,
    /// How long a stop may take.
    pub drain_timeout_ms: Millis,
    /// In-flight bytes above which partitions are paused.
    pub max_inflight_bytes: usize,
    /// Bytes of state in this process at the most; none is no limit.
    pub max_state_bytes: Option<usize>,
    /// Keys with an event in an open window at the most; none is no limit.
    pub max_keys: Option<usize>,
    /// Events of one key in one partition that open windows need at the most; none is no limit.
    pub max_events_per_key: Option<usize>,
    /// The sources.
    pub sources: Vec<SourceConfig>,
    /// The models.
    pub models: Vec<ModelConfig>,
}

impl Plan {
    /// Reads and checks a plan.
    pub fn from_json(text: &str) -> Result<Self> {
        let plan: Self = serde_json::from_str(text)
            .map_err(|error| Error::config(format!("the app's plan is malformed: {error}")))?;
        check::plan(&plan)?;
        Ok(plan)
    }

    /// What is worth a warning at the start.
    pub fn warnings(&self) -> Vec<String> {
        check::warnings(self)
    }

    /// The models of a source, by place in the plan.
    pub fn models_of(&self, source: usize) -> Vec<usize> {
        (0..self.models.len()).filter(|model| self.models[*model].source == source).collect()
    }

    /// The models of a source that are called with one unit, by place in the plan.
    pub fn models_with(&self, source: usize, unit: Unit) -> Vec<usize> {
        self.models_of(source).into_iter().filter(|model| self.models[*model].unit() == unit).collect()
    }

    /// The distinct sink topics, in order of first use.
    pub fn sinks(&self) -> Vec<&str> {
        let mut sinks: Vec<&str> = Vec::new();
        for model in &self.models {
            if !sinks.contains(&model.sink.as_str()) {
                sinks.push(&model.sink);
            }
        }
        sinks
    }

    /// The models that produce to the topic of `source`.
    pub fn upstream(&self, source: usize) -> Vec<usize> {
        let topic = &self.sources[source].topic;
        (0..self.models.len()).filter(|model| self.models[*model].sink == *topic).collect()
    }

    /// Whether a source is a sink of this app.
    pub fn is_chained(&self, source: usize) -> bool {
        !self.upstream(source).is_empty()
    }

    /// The sources, upstream first.
    pub fn sources_in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.sources.len() {
            let before = order.len();
            for source in 0..self.sources.len() {
                let fed_by = self.upstream(source);
                let ready = fed_by.iter().all(|model| order.contains(&self.models[*model].source));
                if ready && !order.contains(&source) {
                    order.push(source);
                }
            }
            if order.len() == before {
                break;
            }
        }
        order
    }
}
