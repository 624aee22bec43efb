//! The crash-loop guard: windows whose calls did not return in time, and so ended the run, are remembered in the
//! metadata of the committed offset. A window that has ended the run three times is not tried again.
//!
//! Of a call with several windows nobody knows which one is to blame: all windows of that model with ends like theirs
//! are suspects, and are called alone in the next run.

use serde::{Deserialize, Serialize};

use crate::batch::WindowMeta;
use crate::config::{Ids, Plan, Unit, hex};
use crate::error::Error;
use crate::time::Millis;

/// How often a window may end the run.
pub const MOST: u8 = 3;

/// Entries kept at the most: what is committed has room for 4,096 characters.
const SUSPECTS: usize = 4;
const WINDOWS: usize = 8;

/// How a window may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// In one call with others.
    #[default]
    Full,
    /// Alone, so that it is known to be the one that does not return.
    Alone,
    /// Not at all: it has ended the run too often.
    Never,
}

/// Windows of a model, one of which did not return: those that end from the first to the last of these; of events
/// those at such offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspects(String, Millis, Millis);

/// A window or an event that did not return: its identity, its end or offset, how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Struck(String, Millis, u8);

/// What is remembered of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    #[serde(rename = "s", default)]
    suspects: Vec<Suspects>,
    #[serde(rename = "w", default)]
    windows: Vec<Struck>,
}

/// Names a window of a model in its present version: a new version of the model is trusted again.
#[derive(Clone, Debug)]
pub struct Namer {
    ids: Ids,
    model: String,
}

impl Namer {
    /// For the windows of a model.
    pub fn new(plan: &Plan, model: usize) -> Self {
        let config = &plan.models[model];
        Self { ids: plan.ids(config), model: hex(&plan.fingerprint(config)[..4]) }
    }

    /// What the model is called with.
    pub fn unit(&self) -> Unit {
        self.ids.unit()
    }

    fn window(&self, window: &WindowMeta) -> String {
        hex(&self.ids.of(window)[..8])
    }
}

impl Strikes {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.windows.is_empty()
    }

    /// How a window may be called.
    pub fn judge(&self, namer: &Namer, window: &WindowMeta) -> Trust {
        let name = namer.window(window);
        match self.windows.iter().find(|struck| struck.0 == name) {
            Some(Struck(.., times)) if *times >= MOST => Trust::Never,
            Some(_) => Trust::Alone,
            None if self.suspects(namer, window) => Trust::Alone,
            None => Trust::Full,
        }
    }

    fn suspects(&self, namer: &Namer, window: &WindowMeta) -> bool {
        let model = &namer.model;
        self.suspects.iter().any(|s| s.0 == *model && (s.1..=s.2).contains(&namer.unit().place(window)))
    }

    /// A call of these windows of this partition ended the run; `alone` where there was no other window in it.
    pub fn strike(&mut self, namer: &Namer, windows: &[WindowMeta], alone: bool) {
        let places = || windows.iter().map(|window| namer.unit().place(window));
        let (Some(first), Some(last)) = (places().min(), places().max()) else { return };
        if !alone {
            self.suspects.push(Suspects(namer.model.clone(), first, last));
            keep_newest(&mut self.suspects, SUSPECTS);
            return;
        }
        for window in windows {
            let name = namer.window(window);
            // A suspect was in the call that made it one.
            let before = u8::from(self.suspects(namer, window));
            match self.windows.iter_mut().find(|struck| struck.0 == name) {
                Some(Struck(.., times)) => *times = times.saturating_add(1),
                None => self.windows.push(Struck(name, namer.unit().place(window), before + 1)),
            }
        }
        keep_newest(&mut self.windows, WINDOWS);
    }

    /// Every window that ends by this watermark, or every event up to this offset, will be committed with what is cut
    /// now.
    pub fn forget(&mut self, last: i64) {
        self.suspects.retain(|suspects| suspects.2 > last);
        self.windows.retain(|struck| struck.1 > last);
    }

    /// As much as there may be, for a check of the room.
    pub fn largest() -> Self {
        let time = -crate::time::MAX_TIME;
        Self {
            suspects: vec![Suspects("0".repeat(8), time, time); SUSPECTS],
            windows: vec![Struck("0".repeat(16), time, MOST); WINDOWS],
        }
    }
}

fn keep_newest<T>(list: &mut Vec<T>, most: usize) {
    if list.len() > most {
        list.drain(..list.len() - most);
    }
}

/// A call that did not return in time.
#[derive(Debug)]
pub struct Strike {
    /// Names its windows.
    pub namer: Namer,
    /// Its windows.
    pub windows: Vec<WindowMeta>,
    /// What ends the run.
    pub error: Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    fn namer() -> Namer {
        let plan = serde_json::json!({"name": "app", "brokers": "memory", "guarantee": "exactly_once",
            "group_id": "app", "kafka": {}, "lanes": 1, "epoch_ms": 1, "start": "earliest", "create_topics": true,
            "dead_letter_topic": "dead", "late_topic": "late", "drain_timeout_ms": 1, "max_inflight_bytes": 1 << 20,
            "sources": [{"topic": "t", "key": null, "timestamp": null, "timestamp_unit": null, "fields": [],
                "context": [],
                "context": [], "missing": "nan", "format": "json", "idle_timeout_ms": null, "max_future_ms": null,
                "scattered": false}],
            "models": [{"name": "m", "version": null, "source": 0, "size_ms": 10, "hop_ms": 10, "offset_ms": 0,
                "grace_ms": 0, "min_events": 1, "sink": "out", "max_batch": 1, "workers": 1, "late": "drop",
                "fields": [], "context": [], "dtype": "float64", "outputs": null, "pad_batch_to": null,
                "on_error": "dead_letter", "retries": 0, "timeout_ms": null, "max_batch_events": null,
                "target_ms": null, "timestamps": false}]});
        Namer::new(&Plan::from_json(&plan.to_string()).unwrap_or_else(|e| panic!("{e}")), 0)
    }

    fn window(key: &str, end: Millis) -> WindowMeta {
        WindowMeta {
            assignment: 0,
            epoch: 0,
            partition: 0,
            key: Key::from(key.as_bytes()),
            start: end - 10,
            end,
            events: 1,
            offsets: (0, 0),
            trust: Trust::Full,
        }
    }

    #[test]
    fn a_window_that_ended_the_run_three_times_is_not_tried_again_and_its_siblings_are() {
        let (namer, mut strikes) = (namer(), Strikes::default());
        let (poison, sibling) = (window("a", 20), window("b", 10));
        assert_eq!(strikes.judge(&namer, &poison), Trust::Full);
        strikes.strike(&namer, &[poison.clone(), sibling.clone()], false);
        assert_eq!(strikes.judge(&namer, &poison), Trust::Alone);
        assert_eq!(strikes.judge(&namer, &sibling), Trust::Alone);
        assert_eq!(strikes.judge(&namer, &window("a", 30)), Trust::Full);
        strikes.strike(&namer, std::slice::from_ref(&poison), true);
        assert_eq!(strikes.judge(&namer, &poison), Trust::Alone);
        strikes.strike(&namer, std::slice::from_ref(&poison), true);
        assert_eq!(strikes.judge(&namer, &poison), Trust::Never);
        assert_eq!(strikes.judge(&namer, &sibling), Trust::Alone);
        strikes.forget(10);
        assert_eq!(strikes.judge(&namer, &poison), Trust::Never);
        strikes.forget(20);
        assert!(strikes.is_empty());
    }

    #[test]
    fn there_is_room_for_what_is_remembered() {
        let (namer, mut strikes) = (namer(), Strikes::default());
        for n in 0..100 {
            strikes.strike(&namer, &[window("a", n), window("b", n)], false);
            strikes.strike(&namer, &[window("a", 10 * n)], true);
        }
        let chars = |strikes: &Strikes| serde_json::to_string(strikes).map_or(0, |text| text.len());
        assert!(chars(&strikes) <= chars(&Strikes::largest()), "{}", chars(&strikes));
        assert!(chars(&Strikes::largest()) < 600, "{}", chars(&Strikes::largest()));
    }
}
