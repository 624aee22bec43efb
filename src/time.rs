//! Time as a value: the core never reads a clock, it is told what time it is.

/// Milliseconds since the Unix epoch (event time, wall time) or a span of them.
pub type Millis = i64;

/// The clock of a partition that has accepted no event yet: minus infinity.
pub const BEFORE_ALL: Millis = i64::MIN;

/// No time at all: plus infinity, for the next end of a key that has none.
pub const NEVER: Millis = i64::MAX;

/// The largest event time, and its negative the smallest: the last millisecond of the year 9999.
pub const MAX_TIME: Millis = 253_402_300_799_999;

/// What the driver says the time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never goes back: for time-outs.
    pub mono: Millis,
    /// Milliseconds since the Unix epoch: for the idle rule alone.
    pub wall: Millis,
}
