//! What is committed with an offset, so that a restart rebuilds the state of that very moment: ASCII text, versioned.
//! A difference between it and the plan stops the run before a record is taken.

use serde::{Deserialize, Serialize};

use crate::config::{ModelConfig, Plan, Unit};
use crate::error::{Error, Result};
use crate::strikes::Strikes;
use crate::time::{BEFORE_ALL, MAX_TIME, Millis};
use crate::window::Floor;

/// The broker's default limit on offset metadata, in characters.
pub const MAX_CHARS: usize = 4096;

const VERSION: u32 = 1;

/// What stands for the windows of a model of single events: no window is of no size.
const EACH_EVENT: [Millis; 4] = [0; 4];

/// A model's windows as they were when the offset was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// Name.
    #[serde(rename = "n")]
    pub name: String,
    /// Size, hop, offset and grace in milliseconds; all of them zero where it scores each event.
    #[serde(rename = "w")]
    pub windows: [Millis; 4],
    /// Its floor.
    #[serde(rename = "f")]
    pub floor: FloorText,
}

impl ModelMetadata {
    /// What it is called with.
    pub fn unit(&self) -> Unit {
        if self.windows == EACH_EVENT { Unit::Event } else { Unit::Window }
    }
}

/// A floor as text: null, a number or `"pending"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FloorText {
    /// A value.
    At(Millis),
    /// Not fixed yet.
    Pending(Pending),
    /// None.
    None(()),
}

/// The word for a floor that is not fixed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// It.
    Pending,
}

impl From<Floor> for FloorText {
    fn from(floor: Floor) -> Self {
        match floor {
            Floor::None => Self::None(()),
            Floor::At(time) => Self::At(time),
            Floor::Pending => Self::Pending(Pending::Pending),
        }
    }
}

impl From<&FloorText> for Floor {
    fn from(text: &FloorText) -> Self {
        match text {
            FloorText::None(()) => Self::None,
            FloorText::At(time) => Self::At(*time),
            FloorText::Pending(_) => Self::Pending,
        }
    }
}

/// The metadata of a committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of this format.
    #[serde(rename = "millstream")]
    pub version: u32,
    /// The topic's id, where the cluster tells it.
    #[serde(rename = "id")]
    pub topic_id: Option<String>,
    /// Partitions of the topic.
    #[serde(rename = "p")]
    pub partitions: i32,
    /// R: where a replay begins.
    #[serde(rename = "r")]
    pub replay_from: i64,
    /// T: the clock; null is minus infinity.
    #[serde(rename = "t")]
    pub clock: Option<Millis>,
    /// J: the clock that an idle advance sets as the first act after this cut.
    #[serde(rename = "j")]
    pub jump: Option<Millis>,
    /// When the group began here, by the wall clock.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Millis>,
    /// Whether a drain left no window open here.
    #[serde(rename = "d", default)]
    pub drained: bool,
    /// What decides which records are events.
    #[serde(rename = "v")]
    pub validity: String,
    /// What decides their time.
    #[serde(rename = "c")]
    pub time_rule: String,
    /// The models.
    #[serde(rename = "m")]
    pub models: Vec<ModelMetadata>,
    /// What is not always there, and room for what later versions add.
    #[serde(rename = "x", default, skip_serializing_if = "Extension::is_empty")]
    pub extension: Extension,
}

/// The part of the metadata that is not always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Windows that have ended the run.
    #[serde(rename = "h", default, skip_serializing_if = "Strikes::is_empty")]
    pub strikes: Strikes,
    /// Single events that have ended the run, by offset.
    #[serde(rename = "e", default, skip_serializing_if = "Strikes::is_empty")]
    pub struck_events: Strikes,
    /// What later versions add; kept as it is.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl Extension {
    fn is_empty(&self) -> bool {
        self.strikes.is_empty() && self.struck_events.is_empty() && self.rest.is_empty()
    }

    /// What has ended the run, of one kind.
    pub fn strikes_of(&mut self, unit: Unit) -> &mut Strikes {
        match unit {
            Unit::Window => &mut self.strikes,
            Unit::Event => &mut self.struck_events,
        }
    }
}

impl Metadata {
    /// The parts of the metadata of a source that only the plan and the topic decide.
    pub fn of(plan: &Plan, source: usize, topic_id: Option<String>, partitions: i32) -> Self {
        let config = &plan.sources[source];
        let models = plan.models_of(source).into_iter().map(|model| {
            let model = &plan.models[model];
            ModelMetadata { name: model.name.clone(), windows: windows(model), floor: FloorText::None(()) }
        });
        Self {
            version: VERSION,
            topic_id,
            partitions,
            replay_from: 0,
            clock: None,
            jump: None,
            begun: None,
            drained: false,
            validity: config.validity(),
            time_rule: config.time_rule(),
            models: models.collect(),
            extension: Extension::default(),
        }
    }

    /// T, with minus infinity.
    pub fn clock(&self) -> Millis {
        self.clock.unwrap_or(BEFORE_ALL)
    }

    /// Writes it.
    pub fn encode(&self) -> String {
        // Names are checked to be ASCII, so is the rest; a struct of plain data always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what was committed with an offset; `None` where it is not ours.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|metadata: &Self| metadata.version == VERSION)
    }

    /// Refuses a plan whose metadata could outgrow what a broker takes: `most` characters.
    pub fn check_size(plan: &Plan, most: usize) -> Result<()> {
        for source in 0..plan.sources.len() {
            let mut largest = Self::of(plan, source, Some("x".repeat(22)), i32::MAX);
            largest.replay_from = i64::MAX;
            largest.clock = Some(-MAX_TIME);
            largest.jump = Some(-MAX_TIME);
            largest.begun = Some(-MAX_TIME);
            for unit in [Unit::Window, Unit::Event] {
                if !plan.models_with(source, unit).is_empty() {
                    *largest.extension.strikes_of(unit) = Strikes::largest();
                }
            }
            for model in &mut largest.models {
                model.floor = FloorText::At(-MAX_TIME);
            }
            let chars = largest.encode().len();
            if chars > most {
                return Err(Error::config(format!(
                    "{} models on topic {:?} need up to {chars} characters of offset metadata; brokers take {most}. \
                     Use shorter model names, or split the models over two apps",
                    largest.models.len(),
                    plan.sources[source].topic
                )));
            }
        }
        Ok(())
    }

    /// Of a group that begins at `offset` in mid-log: every model with the first window that starts after its first
    /// event.
    #[must_use]
    pub fn beginning_at(mut self, offset: i64) -> Self {
        self.replay_from = offset;
        for model in &mut self.models {
            model.floor = FloorText::from(Floor::Pending);
        }
        self
    }

    /// Of a group that goes on with the same app.
    #[must_use]
    pub fn continuing(mut self, committed: Self) -> Self {
        for model in &mut self.models {
            model.floor = FloorText::from(committed.floor(&model.name));
        }
        Self { topic_id: self.topic_id.or(committed.topic_id), models: self.models, ..committed }
    }

    /// Of a group that goes on at `offset` with a changed app: models that have not changed continue; others begin
    /// with the first window that starts after the clock, since one that starts at it may miss events. Where what
    /// decides which records are events has changed, that is every model, and nothing is read again: a replay must
    /// judge as the live run did.
    pub fn adopting(mut self, committed: Self, offset: i64, place: &str) -> Result<Self> {
        let same_events = committed.validity == self.validity;
        if committed.time_rule != self.time_rule || committed.partitions != self.partitions {
            self.models.clone_from(&committed.models);
            self.validity.clone_from(&committed.validity);
            // The clock is in another time domain, or keys have moved: neither can be gone on with.
            self.check(&committed, place)?;
        }
        let pending = committed.models.iter().any(|model| Floor::from(&model.floor) == Floor::Pending);
        let begun = match (committed.clock, pending) {
            (Some(clock), _) => Floor::At(clock),
            (None, true) => Floor::Pending,
            (None, false) => Floor::None,
        };
        for model in &mut self.models {
            let unchanged = same_events
                && committed.models.iter().any(|was| was.name == model.name && was.windows == model.windows);
            // What scores each event begins with the first one that is not committed, whatever its time.
            let begins = match (model.unit(), begun) {
                (Unit::Event, Floor::At(_)) => Floor::None,
                _ => begun,
            };
            model.floor = FloorText::from(if unchanged { committed.floor(&model.name) } else { begins });
        }
        let replay_from = if same_events { committed.replay_from } else { offset };
        Ok(Self {
            topic_id: self.topic_id.or(committed.topic_id),
            models: self.models,
            validity: self.validity,
            replay_from,
            ..committed
        })
    }

    /// Compares what was committed with what the plan says now.
    pub fn check(&self, committed: &Self, place: &str) -> Result<()> {
        let adopted = "To go on where the group stands, adopt=True (--adopt); to start anew beside it, use a new group_id";
        let refused = "It cannot be gone on with: use a new group_id";
        let error = |what: &str, was: &str, is: &str, way_on: &str| {
            let text =
                format!("{place}: {what} was {was} when the group committed last and is {is} now. {way_on}");
            Err(Error::LostHistory(text))
        };
        let differs = |what: &str, was: &str, is: &str| error(what, was, is, adopted);
        let never = |what: &str, was: &str, is: &str| error(what, was, is, refused);
        if let (Some(was), Some(is)) = (&committed.topic_id, &self.topic_id)
            && was != is
        {
            return never("the topic has been deleted and made again: its id", was, is);
        }
        if committed.partitions != self.partitions {
            return never(
                "the number of partitions",
                &committed.partitions.to_string(),
                &self.partitions.to_string(),
            );
        }
        if committed.time_rule != self.time_rule {
            return never("the timestamp rule (field, unit)", &committed.time_rule, &self.time_rule);
        }
        if committed.validity != self.validity {
            let what = "what decides which records are events (key, fields, missing, max_future, format)";
            return differs(what, &committed.validity, &self.validity);
        }
        for model in &self.models {
            let Some(was) = committed.models.iter().find(|was| was.name == model.name) else {
                return differs(&format!("model {}", model.name), "absent", "there");
            };
            if was.windows != model.windows {
                let text = |windows: [Millis; 4]| {
                    let [size, hop, offset, grace] = windows;
                    if windows == EACH_EVENT {
                        return "each event".to_owned();
                    }
                    format!("size {size} ms, hop {hop} ms, offset {offset} ms, grace {grace} ms")
                };
                return differs(
                    &format!("the window of model {}", model.name),
                    &text(was.windows),
                    &text(model.windows),
                );
            }
        }
        for was in &committed.models {
            if !self.models.iter().any(|model| model.name == was.name) {
                return differs(&format!("model {}", was.name), "there", "absent");
            }
        }
        Ok(())
    }

    /// The floor of a model by name.
    pub fn floor(&self, name: &str) -> Floor {
        self.models
            .iter()
            .find(|model| model.name == name)
            .map_or(Floor::None, |model| Floor::from(&model.floor))
    }
}

fn windows(model: &ModelConfig) -> [Millis; 4] {
    if model.unit() == Unit::Event {
        return EACH_EVENT;
    }
    [model.size_ms, model.hop_ms, model.offset_ms, model.grace_ms]
}
