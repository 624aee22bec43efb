//! Why a record or a result goes to the dead-letter topic: fixed codes, the same in headers, metrics and docs.

use std::fmt;

use crate::time::Millis;

/// A reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The value is not JSON.
    NotJson,
    /// A declared field is absent or null.
    MissingField,
    /// A declared field is of another type.
    BadType,
    /// There is no key.
    MissingKey,
    /// The key field is neither a string nor an integer.
    BadKey,
    /// The event time is absent, of another type or out of range.
    BadTimestamp,
    /// The event time is further ahead of the record's timestamp than `max_future`.
    FutureTimestamp,
    /// The value is larger than 1 MiB.
    TooLarge,
    /// The value is nested deeper than 64.
    TooDeep,
    /// The model failed on a window.
    ModelError,
    /// The result of a window does not fit into its sink.
    ResultTooLarge,
}

impl Reason {
    /// All codes, in the order of their names here.
    pub const ALL: [Self; 11] = [
        Self::NotJson,
        Self::MissingField,
        Self::BadType,
        Self::MissingKey,
        Self::BadKey,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::TooLarge,
        Self::TooDeep,
        Self::ModelError,
        Self::ResultTooLarge,
    ];

    /// The code as it stands in headers and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::BadType => "bad_type",
            Self::MissingKey => "missing_key",
            Self::BadKey => "bad_key",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::ModelError => "model_error",
            Self::ResultTooLarge => "result_too_large",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A record that is not an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// What exactly, for a person.
    pub detail: String,
    /// Its event time, where it had one: the check of the timestamp unit wants to see it.
    pub time: Option<Millis>,
}

impl Rejected {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), time: None }
    }

    pub(super) fn at(mut self, time: Millis) -> Self {
        self.time = Some(time);
        self
    }
}
