//! Limits that hold before a value is looked into: size and depth.

use super::MAX_VALUE_BYTES;
use super::reason::{Reason, Rejected};

const MAX_DEPTH: usize = 64;

/// Refuses a value that is too large or nested too deep.
pub(super) fn check(value: &[u8]) -> Result<(), Rejected> {
    if value.len() > MAX_VALUE_BYTES {
        let detail = format!("the value has {} bytes; the limit is {MAX_VALUE_BYTES}", value.len());
        return Err(Rejected::new(Reason::TooLarge, detail));
    }
    // What is too deep opens more than 64 times, strings included, and needs two bytes for each.
    if value.len() > 2 * MAX_DEPTH && memchr::memchr2_iter(b'{', b'[', value).nth(MAX_DEPTH).is_some() {
        return check_depth(value);
    }
    Ok(())
}

fn check_depth(value: &[u8]) -> Result<(), Rejected> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in value {
        if in_string {
            match (escaped, byte) {
                (true, _) => escaped = false,
                (false, b'\\') => escaped = true,
                (false, b'"') => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let detail = format!("the value is nested deeper than {MAX_DEPTH}");
            return Err(Rejected::new(Reason::TooDeep, detail));
        }
    }
    Ok(())
}
