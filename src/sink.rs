//! Where results go, together with the offsets they stand for. The in-memory twin keeps topics and offsets.

mod memory;

pub use memory::{MemoryLog, MemoryRecord, MemorySink};

use crate::epoch::Transaction;
use crate::error::Result;

/// What came of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is committed.
    Committed,
    /// It was aborted and may be tried again.
    Aborted,
    /// It was not begun, and is to be tried again: the member is joining its group.
    NotYet,
    /// Nobody can tell: what is committed must be read again, and all state with it.
    Unknown,
}

/// Commits records and offsets.
pub trait Sink {
    /// Produces the records, in order, and commits the offsets with their metadata.
    fn commit(&mut self, transaction: &Transaction) -> Result<Outcome>;
}
