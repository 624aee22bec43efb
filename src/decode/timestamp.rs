//! Event time from a field: an integer, a float or RFC 3339 text to whole milliseconds, rounded down.

use super::json::Scalar;
use super::reason::{Reason, Rejected};
use crate::config::TimestampUnit;
use crate::time::{MAX_TIME, Millis};

/// Reads the event time in milliseconds. Out of the range of i64 it saturates, and the caller's range check says so.
pub(super) fn read(value: Scalar, text: &str, unit: TimestampUnit, field: &str) -> Result<Millis, Rejected> {
    let bad = |what: &str| {
        let detail = format!("timestamp field {field:?} is {what}, not {}", unit.wants());
        Err(Rejected::new(Reason::BadTimestamp, detail))
    };
    match (value, unit) {
        (Scalar::Text, TimestampUnit::Rfc3339) => text.parse::<jiff::Timestamp>().map_or_else(
            |error| {
                let detail = format!("timestamp field {field:?} is not RFC 3339: {error}");
                Err(Rejected::new(Reason::BadTimestamp, detail))
            },
            |time| Ok(floor_millis(time)),
        ),
        (Scalar::Int(_) | Scalar::Unsigned(_) | Scalar::Float(_), TimestampUnit::Rfc3339) => bad("a number"),
        (Scalar::Int(value), _) => Ok(from_integer(value, unit)),
        // Beyond i64 in any unit: out of range.
        (Scalar::Unsigned(_), TimestampUnit::Ns) => Ok(MAX_TIME + 1),
        (Scalar::Unsigned(_), _) => Ok(Millis::MAX),
        // Float to integer saturates, NaN cannot come from JSON.
        (Scalar::Float(value), _) => Ok((value * unit.millis()).floor() as Millis),
        (Scalar::Missing, _) => bad("absent"),
        (Scalar::Null, _) => bad("null"),
        (Scalar::Bool(_), _) => bad("a boolean"),
        (Scalar::Text, _) => bad("a string"),
        (Scalar::Wrong(kind), _) => bad(kind),
    }
}

fn from_integer(value: i64, unit: TimestampUnit) -> Millis {
    match unit {
        TimestampUnit::S => value.saturating_mul(1000),
        TimestampUnit::Us => value.div_euclid(1000),
        TimestampUnit::Ns => value.div_euclid(1_000_000),
        TimestampUnit::Ms | TimestampUnit::Rfc3339 => value,
    }
}

fn floor_millis(time: jiff::Timestamp) -> Millis {
    time.as_nanosecond().div_euclid(1_000_000) as Millis
}
