//! Where records come from: assigned partitions, their records in offset order, and how far they go.
//! The in-memory twin is a set of logs.

mod memory;

pub use memory::MemorySource;

use std::time::Duration;

use crate::error::Result;
use crate::record::{RawRecord, TopicPartition};

/// A partition that has been assigned, and what the group committed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset with its metadata.
    pub committed: Option<(i64, String)>,
    /// The oldest offset and the high watermark.
    pub bounds: (i64, i64),
    /// Partitions of the topic.
    pub partitions: i32,
    /// The topic's id, where the cluster tells it.
    pub topic_id: Option<String>,
    /// What shows that the group has been at work before, where nothing is committed.
    pub earlier: Option<String>,
}

/// A change of the assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Partitions that are ours now; they wait, paused, until `begin`.
    Assigned(Vec<Assigned>),
    /// Partitions that must be given up: they are ours until `release`.
    Revoked(Vec<TopicPartition>),
}

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The client's position, which counts control markers; none where it has none yet.
    pub position: Option<i64>,
    /// The cached oldest offset; none where no fetch has told it yet.
    pub low: Option<i64>,
    /// The cached high watermark; none where no fetch has told it yet.
    pub end: Option<i64>,
}

/// A part of a log to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRange {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}

/// Reads parts of logs again, apart from the source itself.
pub trait Replay: Send {
    /// Hands over every record of the range in offset order. `stop` is asked now and then.
    fn read(
        &mut self,
        range: &ReplayRange,
        stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<()>;
}

/// A member of a consumer group.
pub trait Source {
    /// Reads partitions again.
    type Replay: Replay + 'static;

    /// Serves the group, then hands over records that are there, `most` at the most, waiting up to `timeout` for them.
    /// A record comes with the index that `begin` gave its partition.
    fn poll(
        &mut self,
        timeout: Duration,
        most: usize,
        each: &mut dyn FnMut(usize, RawRecord<'_>) -> Result<()>,
    ) -> Result<()>;

    /// Changes of the assignment since the last call.
    fn changes(&mut self) -> Result<Vec<Change>>;

    /// Takes an assignment: from these offsets on, still paused.
    fn assign(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()>;

    /// What the group has committed for partitions that are ours, asked anew.
    fn describe(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Assigned>>;

    /// Goes to these offsets of partitions that are ours, and pauses them until `begin`.
    fn rewind(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()>;

    /// Lets the records of a partition flow, under `index`.
    fn begin(&mut self, partition: &TopicPartition, index: usize) -> Result<()>;

    /// Gives up partitions.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Whether records are held back: a poll serves the group and hands over none.
    fn pause(&mut self, paused: bool) -> Result<()>;

    /// How far the partition has been read.
    fn position(&mut self, partition: &TopicPartition) -> Result<Position>;

    /// The high watermarks of all partitions of a topic, asked now.
    fn ends(&mut self, topic: &str) -> Result<Vec<i64>>;

    /// What the group has committed on all partitions of a topic, asked now.
    fn committed(&mut self, topic: &str) -> Result<Vec<Option<(i64, String)>>>;

    /// A reader for replays.
    fn replay(&self) -> Result<Self::Replay>;

    /// Stays a member while the last commit is under way; no record is taken.
    fn idle(&mut self) {}

    /// Leaves the group. It cannot hang.
    fn close(self)
    where
        Self: Sized,
    {
    }
}
