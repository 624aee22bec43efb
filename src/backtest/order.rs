//! The order in which rows are replayed: as they stand, by event time, or as they might have arrived.

use crate::decode::Table;
use crate::error::{Error, Result};
use crate::time::Millis;

/// What order rows are replayed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// By event time: nothing is late.
    Time,
    /// As they stand, as a log is read.
    Row,
    /// By a time of arrival that is made up.
    Arrival(Disorder),
}

/// How events come out of order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disorder {
    /// The same seed gives the same arrivals.
    pub seed: u64,
    /// Every event arrives up to this much after its time.
    pub delay: Millis,
    /// The share of events that arrive later than that.
    pub late: f64,
    /// By up to this much.
    pub late_by: Millis,
}

impl Disorder {
    /// After which time the event of a row arrives.
    fn of(&self, row: u32) -> Millis {
        let mut state = self.seed ^ u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let late = (next(&mut state) >> 11) as f64 / (1_u64 << 53) as f64;
        let below = |span: Millis, state: &mut u64| {
            ((u128::from(next(state)) * (span.max(0) as u128 + 1)) >> 64) as Millis
        };
        let delay = below(self.delay, &mut state);
        if late < self.late { self.delay + 1 + below(self.late_by - 1, &mut state) } else { delay }
    }
}

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Order {
    /// Brings rows into order; equal ones by offset.
    pub(super) fn arrange(&self, topic: &str, table: &Table, rows: &mut [u32]) -> Result<()> {
        let offset = |row: u32| table.offsets[row as usize];
        let time = |row: u32| table.times[row as usize];
        match self {
            Self::Row => return ascending(topic, table),
            Self::Time if rows.is_sorted_by_key(|row| (time(*row), offset(*row))) => {}
            Self::Time => rows.sort_by_key(|row| (time(*row), offset(*row))),
            Self::Arrival(disorder) => {
                rows.sort_by_cached_key(|row| (time(*row) + disorder.of(*row), time(*row), offset(*row)));
            }
        }
        Ok(())
    }
}

/// A log has its offsets in ascending order.
fn ascending(topic: &str, table: &Table) -> Result<()> {
    let mut last = vec![None; table.partition_count() as usize];
    for row in 0..table.rows() {
        let (partition, offset) = (table.partition(row), table.offsets[row]);
        let last = &mut last[partition as usize];
        if let Some(before) = last.filter(|before| *before >= offset) {
            return Err(Error::config(format!(
                "topic {topic:?}: row {row} has offset {offset} of partition {partition}, after offset {before}: \
                 order=\"row\" takes rows as a log has them. Sort them by partition and offset, or leave the column out"
            )));
        }
        *last = Some(offset);
    }
    Ok(())
}
