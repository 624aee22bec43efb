//! Context: what an event says of where it is from, as strings or numbers. A key's events mostly say the same, so
//! equal rows of a key share their memory.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// The context of an event or of a window, one value per declared field.
pub type Context = Arc<[ContextValue]>;

/// A value of a context field.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ContextValue {
    /// Absent or null, where that is allowed.
    Missing,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond i64.
    Unsigned(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text.
    Text(String),
}

/// Equal to the last bit: two zeros of different sign are two values.
impl PartialEq for ContextValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) => true,
            (Self::Bool(mine), Self::Bool(other)) => mine == other,
            (Self::Int(mine), Self::Int(other)) => mine == other,
            (Self::Unsigned(mine), Self::Unsigned(other)) => mine == other,
            (Self::Float(mine), Self::Float(other)) => mine.to_bits() == other.to_bits(),
            (Self::Text(mine), Self::Text(other)) => mine == other,
            _ => false,
        }
    }
}

impl Serialize for ContextValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// Keeps the context of an event: the memory of `last`, where that is the same.
pub(crate) fn keep(last: Option<&Context>, values: &[ContextValue]) -> Context {
    match last {
        Some(last) if **last == *values => last.clone(),
        _ => Context::from(values),
    }
}

/// Bytes that a row holds.
pub(crate) fn held(row: &Context) -> usize {
    // The two counts of the shared memory come first.
    let texts =
        row.iter().map(|value| if let ContextValue::Text(text) = value { text.capacity() } else { 0 });
    2 * size_of::<usize>() + row.len() * size_of::<ContextValue>() + texts.sum::<usize>()
}

/// The last value of each field over `newest_first`, which holds at least one row.
pub(crate) fn last_values<'a>(mut newest_first: impl Iterator<Item = &'a Context>) -> Context {
    let Some(newest) = newest_first.next() else { return Context::from(&[][..]) };
    let known = |row: &[ContextValue]| !row.contains(&ContextValue::Missing);
    if known(newest) {
        return newest.clone();
    }
    let mut row = newest.to_vec();
    for older in newest_first {
        for (value, older) in row.iter_mut().zip(older.iter()) {
            if *value == ContextValue::Missing {
                value.clone_from(older);
            }
        }
        if known(&row) {
            break;
        }
    }
    Context::from(row)
}

/// The fields of a row that somebody reads; none is all of them.
pub(crate) fn pick(row: Context, fields: Option<&[usize]>) -> Context {
    match fields {
        None => row,
        Some(fields) => fields.iter().map(|field| row[*field].clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Context {
        let text = |text: &str| ContextValue::Text(text.to_owned());
        values.iter().map(|value| value.map_or(ContextValue::Missing, text)).collect()
    }

    #[test]
    fn equal_contexts_of_a_key_share_their_memory() {
        let first = row(&[Some("a")]);
        assert!(Arc::ptr_eq(&first, &keep(Some(&first), &row(&[Some("a")]))));
        assert!(!Arc::ptr_eq(&first, &keep(Some(&first), &row(&[Some("b")]))));
        let zero = [ContextValue::Float(0.0)];
        assert_eq!(
            keep(Some(&Context::from(zero)), &[ContextValue::Float(-0.0)])[..],
            [ContextValue::Float(-0.0)]
        );
    }

    #[test]
    fn the_last_value_of_a_field_is_the_latest_that_is_there() {
        let rows = [row(&[None, Some("new"), None]), row(&[Some("mid"), Some("old"), None])];
        assert_eq!(last_values(rows.iter()), row(&[Some("mid"), Some("new"), None]));
        let whole = [row(&[Some("a")]), row(&[Some("b")])];
        assert!(Arc::ptr_eq(&last_values(whole.iter()), &whole[0]));
    }
}
