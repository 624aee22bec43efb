//! Identities that outlive a run: of a model, of a window or an event, of the rules that decide which records are events.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

use super::{Format, Missing, ModelConfig, Plan, SourceConfig, Unit};
use crate::batch::WindowMeta;

/// A hash over parts that cannot run into each other. Stable across versions and machines.
#[derive(Clone, Copy, Debug)]
struct Identity(SipHasher24);

impl Identity {
    fn new(kind: &str) -> Self {
        Self(SipHasher24::new()).text(kind)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.write(&(bytes.len() as u64).to_le_bytes());
        self.0.write(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn number(mut self, number: i64) -> Self {
        self.0.write(&number.to_le_bytes());
        self
    }

    /// The same as one after the other, in fewer steps.
    fn numbers(mut self, first: i64, second: i64) -> Self {
        let both = u128::from(first as u64) | u128::from(second as u64) << 64;
        self.0.write(&both.to_le_bytes());
        self
    }

    fn option(self, value: Option<&str>) -> Self {
        match value {
            None => self.number(0),
            Some(text) => self.number(1).text(text),
        }
    }

    fn finish(&self) -> [u8; 16] {
        self.0.finish128().as_bytes()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[(b >> 4) as usize] as char, DIGITS[(b & 15) as usize] as char])
        .collect()
}

/// A set of names, in short: how many they are and a hash of them.
fn set(kind: &str, names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let hash = names.iter().fold(Identity::new(kind), |hash, name| hash.text(name)).finish();
    format!("{}:{}", names.len(), hex(&hash[..4]))
}

impl Plan {
    /// The fingerprint of a model: name, version, source, and of windows size, hop, offset and grace.
    pub fn fingerprint(&self, model: &ModelConfig) -> [u8; 16] {
        let of = |kind| {
            Identity::new(kind)
                .text(&model.name)
                .option(model.version.as_deref())
                .text(&self.sources[model.source].topic)
        };
        if model.unit() == Unit::Event {
            return of("model of events").finish();
        }
        of("model")
            .number(model.size_ms)
            .number(model.hop_ms)
            .number(model.offset_ms)
            .number(model.grace_ms)
            .finish()
    }

    /// The identities of what a model is called with.
    pub fn ids(&self, model: &ModelConfig) -> Ids {
        let unit = model.unit();
        let kind = match unit {
            Unit::Window => "window",
            Unit::Event => "event",
        };
        Ids { unit, common: Identity::new(kind).text(&self.name).bytes(&self.fingerprint(model)) }
    }
}

/// Gives windows or single events of a model their identity: the same whoever computes it, and whenever.
#[derive(Clone, Debug)]
pub struct Ids {
    unit: Unit,
    /// What all of them begin with.
    common: Identity,
}

impl Ids {
    /// What the model is called with.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The identity of one of them.
    pub fn of(&self, window: &WindowMeta) -> [u8; 16] {
        let partition = i64::from(window.partition);
        match self.unit {
            Unit::Window => {
                let mut hash = self.common.numbers(partition, window.key.len() as i64);
                hash.0.write(&window.key);
                hash.numbers(window.start, window.end).finish()
            }
            Unit::Event => self.common.numbers(partition, window.offsets.0).finish(),
        }
    }
}

impl SourceConfig {
    /// What decides whether a record is an event: a live run and a replay must judge alike. The order of the fields
    /// does not.
    pub fn validity(&self) -> String {
        let Format::Json = self.format;
        let fields = set("fields", &self.fields);
        // An app without context is what it was before there was any.
        let context = if self.context.is_empty() {
            String::new()
        } else {
            format!(" context={}", set("context", &self.context))
        };
        let key =
            self.key.as_deref().map_or_else(|| "record".to_owned(), |key| key.escape_default().to_string());
        let missing = if self.missing == Missing::Nan { "nan" } else { "dead_letter" };
        let future = self.max_future_ms.map_or_else(|| "none".to_owned(), |ahead| format!("{ahead}ms"));
        format!("key={key} fields={fields}{context} missing={missing} max_future={future} format=json")
    }

    /// What decides an event's time: the domain in which the clock lives.
    pub fn time_rule(&self) -> String {
        let unit = self.timestamp_unit.unwrap_or_default().name();
        match &self.timestamp {
            None => "record".to_owned(),
            Some(field) => format!("{}:{unit}", field.escape_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TimestampUnit;

    fn source(context: &[&str]) -> SourceConfig {
        SourceConfig {
            topic: "t".into(),
            key: None,
            timestamp: Some("ts".into()),
            timestamp_unit: Some(TimestampUnit::Ms),
            fields: vec!["v".into()],
            context: context.iter().map(ToString::to_string).collect(),
            missing: Missing::DeadLetter,
            format: Format::Json,
            idle_timeout_ms: None,
            max_future_ms: None,
            scattered: false,
        }
    }

    #[test]
    fn two_numbers_are_one_and_then_the_other() {
        for (first, second) in [(0, 0), (-1, 7), (i64::MIN, i64::MAX)] {
            let [apart, together] =
                [Identity::new("n").number(first).number(second), Identity::new("n").numbers(first, second)];
            assert_eq!(apart.finish(), together.finish());
        }
    }

    #[test]
    fn context_decides_validity_as_fields_do_and_its_order_does_not() {
        let validity = |context: &[&str]| source(context).validity();
        assert_eq!(validity(&["a", "b"]), validity(&["b", "a"]));
        assert_ne!(validity(&["a"]), validity(&["b"]));
        assert_ne!(validity(&["v"]), validity(&[]));
        assert!(!validity(&[]).contains("context"));
    }
}
