//! What the partitions of a lane hold, held against the limits of state after each batch of records.

use std::fmt;

use super::Lane;
use super::partition::Partition;
use crate::error::Result;
use crate::limits::{Limit, Limits, Share, bytes, watched_from};
use crate::log::Said;
use crate::record::shown_key;
use crate::time::Now;
use crate::window::{Fullest, PartitionWindows};

impl Lane {
    /// Adds up what is held; warns from 80 % of a limit on, and fails beyond it.
    pub fn watch_state(&mut self, now: Now) -> Result<()> {
        for partition in self.partitions.iter_mut().flatten() {
            partition.share.set(partition.windows.held(), partition.windows.open_keys());
        }
        let limits = Limits::of(&self.plan);
        let outcome = self.hold_against(limits, now);
        if outcome.is_err() {
            // What ends the run is to be seen in the metrics too.
            self.publish();
        }
        outcome
    }

    fn hold_against(&mut self, limits: Limits, now: Now) -> Result<()> {
        for limit in Limit::OF_PROCESS {
            let Some(most) = limits.get(limit) else { continue };
            let total = self.metrics.state.of(limit);
            let share = |partition: &&Partition| partition.share.of(limit);
            let Some(largest) = self.partitions.iter().flatten().max_by_key(share) else { continue };
            if total >= watched_from(most) {
                within(limits, &largest.id, &largest.windows, &largest.share)?;
                self.warn(limit, now, || {
                    let culprit = culprit(limit, &largest.id, &largest.windows, &largest.share);
                    Said::from(limit.near(most, total, culprit)).partition(&largest.id)
                });
            }
        }
        let Some(most) = limits.get(Limit::EventsPerKey) else { return Ok(()) };
        for partition in self.partitions.iter().flatten() {
            within(limits, &partition.id, &partition.windows, &partition.share)?;
            if let Some(fullest) = partition.windows.fullest() {
                let limit = Limit::EventsPerKey;
                self.warn(limit, now, || {
                    let culprit = of_key(fullest, &partition.id);
                    Said::from(limit.near(most, fullest.events, culprit))
                        .partition(&partition.id)
                        .key(&fullest.key)
                });
            }
        }
        for partition in self.partitions.iter_mut().flatten() {
            partition.windows.clear_fullest();
        }
        Ok(())
    }

    fn warn(&self, limit: Limit, now: Now, text: impl FnOnce() -> Said) {
        if self.metrics.state.warn_now(limit, now.mono) {
            self.metrics.limit_warnings.add(1);
            self.log.warning("limits", text());
        }
    }
}

/// Fails where a limit is exceeded, by the process as a whole or by a key of this partition.
pub(super) fn within(
    limits: Limits,
    place: &dyn fmt::Display,
    windows: &PartitionWindows,
    share: &Share,
) -> Result<()> {
    for limit in Limit::OF_PROCESS {
        let total = share.totals().of(limit);
        if let Some(most) = limits.get(limit).filter(|most| total > *most) {
            return Err(limit.exceeded(most, total, culprit(limit, place, windows, share)));
        }
    }
    match (limits.get(Limit::EventsPerKey), windows.fullest()) {
        (Some(most), Some(fullest)) if fullest.events > most => {
            Err(Limit::EventsPerKey.exceeded(most, fullest.events, of_key(fullest, place)))
        }
        _ => Ok(()),
    }
}

/// Which part of it is in a partition.
fn culprit(limit: Limit, place: &dyn fmt::Display, windows: &PartitionWindows, share: &Share) -> String {
    let (keys, events) = (windows.open_keys(), windows.events());
    if limit == Limit::Keys {
        return format!("{keys} of them in {place}");
    }
    let most = windows
        .largest_key()
        .map_or(String::new(), |(key, events)| format!(", {events} of key {}", shown_key(&key)));
    format!("{} of it in {place}: {keys} keys, {events} events{most}", bytes(share.of(limit)))
}

fn of_key(fullest: &Fullest, place: &dyn fmt::Display) -> String {
    format!("key {} in {place}", shown_key(&fullest.key))
}
