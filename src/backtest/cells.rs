//! A column of results whose type is found as values come: the narrowest of booleans, integers, floats and text that
//! has them all, else JSON.

use serde_json::Value;

/// Values of a field, null where a window has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Nothing but nulls, so many.
    Nulls(usize),
    /// Booleans.
    Bools(Vec<Option<bool>>),
    /// Integers.
    Ints(Vec<Option<i64>>),
    /// Numbers.
    Floats(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
    /// Anything.
    Json(Vec<Value>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Nulls(0)
    }
}

impl Cells {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Nulls(rows) => *rows,
            Self::Bools(rows) => rows.len(),
            Self::Ints(rows) => rows.len(),
            Self::Floats(rows) => rows.len(),
            Self::Texts(rows) => rows.len(),
            Self::Json(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value.
    pub fn push(&mut self, value: Value) {
        match (&mut *self, value) {
            (Self::Nulls(rows), Value::Null) => *rows += 1,
            (Self::Bools(rows), Value::Null) => rows.push(None),
            (Self::Ints(rows), Value::Null) => rows.push(None),
            (Self::Floats(rows), Value::Null) => rows.push(None),
            (Self::Texts(rows), Value::Null) => rows.push(None),
            (Self::Bools(rows), Value::Bool(value)) => rows.push(Some(value)),
            (Self::Texts(rows), Value::String(value)) => rows.push(Some(value)),
            (Self::Floats(rows), Value::Number(value)) => rows.push(value.as_f64()),
            (Self::Ints(rows), Value::Number(value)) if value.is_i64() => rows.push(value.as_i64()),
            (Self::Json(rows), value) => rows.push(value),
            (_, value) => {
                self.widen(&value);
                self.push(value);
            }
        }
    }

    /// Adds nulls up to so many rows.
    pub fn pad(&mut self, rows: usize) {
        while self.len() < rows {
            self.push(Value::Null);
        }
    }

    /// Takes a value out.
    pub(super) fn take(&mut self, row: usize) -> Value {
        match self {
            Self::Nulls(_) => Value::Null,
            Self::Bools(rows) => rows.get(row).copied().flatten().into(),
            Self::Ints(rows) => rows.get(row).copied().flatten().into(),
            Self::Floats(rows) => rows.get(row).copied().flatten().into(),
            Self::Texts(rows) => rows.get_mut(row).and_then(Option::take).into(),
            Self::Json(rows) => rows.get_mut(row).map(Value::take).unwrap_or_default(),
        }
    }

    /// Becomes a type that has this value, too.
    fn widen(&mut self, value: &Value) {
        *self = match (std::mem::take(self), value) {
            (Self::Nulls(rows), Value::Bool(_)) => Self::Bools(vec![None; rows]),
            (Self::Nulls(rows), Value::Number(number)) if number.is_i64() => Self::Ints(vec![None; rows]),
            (Self::Nulls(rows), Value::Number(_)) => Self::Floats(vec![None; rows]),
            (Self::Nulls(rows), Value::String(_)) => Self::Texts(vec![None; rows]),
            (Self::Ints(rows), Value::Number(_)) => {
                Self::Floats(rows.into_iter().map(|value| value.map(|value| value as f64)).collect())
            }
            (mut other, _) => Self::Json((0..other.len()).map(|row| other.take(row)).collect()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(values: &[Value]) -> Cells {
        let mut cells = Cells::default();
        for value in values {
            cells.push(value.clone());
        }
        cells
    }

    #[test]
    fn a_column_is_as_narrow_as_its_values() {
        assert_eq!(cells(&[json!(null), json!(1)]), Cells::Ints(vec![None, Some(1)]));
        assert_eq!(cells(&[json!(1), json!(0.5)]), Cells::Floats(vec![Some(1.0), Some(0.5)]));
        assert_eq!(
            cells(&[json!(0.5), json!(1), json!(null)]),
            Cells::Floats(vec![Some(0.5), Some(1.0), None])
        );
        assert_eq!(cells(&[json!("a"), json!(null)]), Cells::Texts(vec![Some("a".to_owned()), None]));
        assert_eq!(cells(&[json!(true), json!(1)]), Cells::Json(vec![json!(true), json!(1)]));
        assert_eq!(cells(&[json!(null), json!([1])]), Cells::Json(vec![json!(null), json!([1])]));
        assert_eq!(cells(&[json!(null), json!(null)]), Cells::Nulls(2));
    }
}
