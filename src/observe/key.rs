//! What one partition holds of one key, as it is shown.

use serde::Serialize;

use crate::time::Millis;

/// How far a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowState {
    /// The clock is before its end.
    Open,
    /// The clock is past its end, the watermark is not.
    Closing,
    /// It is final, and waits for the model.
    Closed,
}

/// A window that holds an event of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyWindow {
    /// Its first millisecond.
    pub start: Millis,
    /// The one after its last.
    pub end: Millis,
    /// Events in it so far.
    pub n_events: usize,
    /// How far it has come.
    pub state: WindowState,
}

/// The windows of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyModel {
    /// Its name.
    pub model: String,
    /// Windows that end here or before are closed; none before the first event.
    pub watermark: Option<Millis>,
    /// The windows, by end; the closed ones first.
    pub windows: Vec<KeyWindow>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyEvent {
    /// Its time.
    pub time: Millis,
    /// Its first fields.
    pub values: Vec<f64>,
}

/// What one partition holds of a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its clock.
    pub clock: Option<Millis>,
    /// The names of the fields that are shown.
    pub fields: Vec<String>,
    /// Events held.
    pub n_events: usize,
    /// The newest of them, by time.
    pub events: Vec<KeyEvent>,
    /// Whether there are more events or windows than are shown or counted.
    pub truncated: bool,
    /// Its windows by model.
    pub models: Vec<KeyModel>,
}
