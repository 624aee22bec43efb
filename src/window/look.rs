//! A look at one key: its events and its windows, without changing anything and at a bounded cost.

use super::PartitionWindows;
use super::buffer::KeyId;
use super::model::ModelWindows;
use crate::observe::{KeyEvent, KeyWindow, WindowState};
use crate::time::Millis;

/// Events of the key that are looked at: the newest.
const COUNTED: usize = 10_000;
/// Events that are shown.
const SHOWN: usize = 500;
/// Fields of an event that are shown.
pub(crate) const FIELDS: usize = 8;
/// Windows of each model that are shown.
const WINDOWS: usize = 256;
/// Closed windows that are looked through for those of the key.
const READY: usize = 10_000;

/// What is held of a key.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) n_events: usize,
    pub(crate) events: Vec<KeyEvent>,
    /// By model, in the order of the source's.
    pub(crate) windows: Vec<Vec<KeyWindow>>,
    /// Whether not all is shown.
    pub(crate) truncated: bool,
}

impl PartitionWindows {
    /// Looks at a key; none where nothing of it is held.
    pub(crate) fn look(&self, key: &[u8]) -> Option<Look> {
        let id = self.buffer.find(key)?;
        let (n_events, mut rows) = self.buffer.newest(id, COUNTED);
        rows.sort_by_key(|(time, _)| *time);
        let times: Vec<Millis> = rows.iter().map(|(time, _)| *time).collect();
        let mut truncated = n_events > times.len() || n_events > SHOWN;
        let windows = self.models.iter().map(|model| {
            let mut windows = waiting(model, id);
            let open = open(model, &times, self.clock);
            truncated |= windows.len() + open.len() > WINDOWS;
            windows.extend(open);
            windows.truncate(WINDOWS);
            windows
        });
        let windows = windows.collect();
        let shown = rows.len().saturating_sub(SHOWN);
        let events = rows[shown..]
            .iter()
            .map(|(time, row)| KeyEvent { time: *time, values: row.iter().take(FIELDS).copied().collect() });
        Some(Look { n_events, events: events.collect(), windows, truncated })
    }

    /// The watermark of a model.
    pub(crate) fn watermark(&self, model: usize) -> Millis {
        self.models[model].watermark()
    }
}

/// Closed windows that wait for the model.
fn waiting(model: &ModelWindows, key: KeyId) -> Vec<KeyWindow> {
    let mine = model.ready.iter().take(READY).filter(|closed| closed.range.key == key);
    let window = mine.map(|closed| KeyWindow {
        start: closed.range.start,
        end: closed.range.end,
        n_events: closed.range.len,
        state: WindowState::Closed,
    });
    window.take(WINDOWS).collect()
}

/// Windows that are not closed and hold one of these times, which are in order; one more than are shown.
fn open(model: &ModelWindows, times: &[Millis], clock: Millis) -> Vec<KeyWindow> {
    let size = model.windows.size;
    let first_open = model.open_from().saturating_add(size);
    let mut found = Vec::new();
    let Some(first) = times.first() else { return found };
    let mut end = model.windows.first_end_after(*first).max(first_open);
    while found.len() <= WINDOWS {
        let from = times.partition_point(|time| *time < end - size);
        let Some(next) = times.get(from) else { break };
        if *next >= end {
            end = model.windows.first_end_after(*next);
            continue;
        }
        let n_events = times[from..].partition_point(|time| *time < end);
        let state = if clock < end { WindowState::Open } else { WindowState::Closing };
        found.push(KeyWindow { start: end - size, end, n_events, state });
        end += model.windows.hop;
    }
    found
}
