//! What a model returned: a row per window, by column or row by row, and what is checked of it.

use serde_json::Value;

use crate::config::{ModelConfig, Unit};
use crate::error::{Error, Result};

/// One field of the results, a value per window.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Floating point; NaN and infinities are written as null.
    Floats(Vec<f64>),
    /// Integers.
    Ints(Vec<i64>),
    /// Booleans.
    Bools(Vec<bool>),
    /// Text.
    Texts(Vec<String>),
    /// Any JSON.
    Json(Vec<Value>),
}

impl Column {
    /// Rows in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(rows) => rows.len(),
            Self::Ints(rows) => rows.len(),
            Self::Bools(rows) => rows.len(),
            Self::Texts(rows) => rows.len(),
            Self::Json(rows) => rows.len(),
        }
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts off what is beyond `rows`.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            Self::Floats(all) => all.truncate(rows),
            Self::Ints(all) => all.truncate(rows),
            Self::Bools(all) => all.truncate(rows),
            Self::Texts(all) => all.truncate(rows),
            Self::Json(all) => all.truncate(rows),
        }
    }
}

/// The rows of a result, one per window.
#[derive(Clone, Debug, PartialEq)]
pub enum Outputs {
    /// Named columns.
    Columns(Vec<(String, Column)>),
    /// One unnamed column of JSON under a name; rows of None emit nothing.
    Values(String, Vec<Option<Value>>),
    /// Rows with fields of their own; None emits nothing.
    Rows(Vec<Option<Vec<(String, Value)>>>),
}

impl From<Vec<(String, Column)>> for Outputs {
    fn from(columns: Vec<(String, Column)>) -> Self {
        Self::Columns(columns)
    }
}

impl Outputs {
    /// Whether the window of a row gets no result record.
    pub fn is_silent(&self, row: usize) -> bool {
        match self {
            Self::Columns(_) => false,
            Self::Values(_, rows) => rows[row].is_none(),
            Self::Rows(rows) => rows[row].is_none(),
        }
    }

    /// Cuts off the rows that a padded batch has beyond its `windows`.
    pub fn cut_padding(&mut self, windows: usize, padded: usize) {
        let cut = |len: usize| if len == padded { windows } else { len };
        match self {
            Self::Columns(columns) => columns.iter_mut().for_each(|(_, rows)| rows.truncate(cut(rows.len()))),
            Self::Values(_, rows) => rows.truncate(cut(rows.len())),
            Self::Rows(rows) => rows.truncate(cut(rows.len())),
        }
    }
}

impl Unit {
    /// Names of fields that the pipeline writes itself into each result.
    pub fn reserved_fields(self) -> [&'static str; 3] {
        match self {
            Self::Window => ["key", "window", "n_events"],
            Self::Event => ["key", "timestamp", "offset"],
        }
    }
}

/// Checks what a model returned against the batch it was given.
pub(crate) fn check_outputs(model: &ModelConfig, windows: usize, outputs: &Outputs) -> Result<()> {
    let (name, unit) = (&model.name, model.unit());
    let one = unit.one();
    let check_names = |fields| check_names(name, unit, fields);
    let rows = |rows: usize, place: &str| {
        if rows == windows {
            return Ok(());
        }
        Err(Error::model(format!(
            "predict of model {name} returned {rows} rows{place} for {windows} {one}s: return exactly one row per {one}"
        )))
    };
    match outputs {
        Outputs::Columns(columns) => {
            for (field, column) in columns {
                rows(column.len(), &format!(" in field {field:?}"))?;
            }
            check_names(columns.iter().map(|(field, _)| field).collect())
        }
        Outputs::Values(field, values) => {
            rows(values.len(), "")?;
            check_names(vec![field])
        }
        Outputs::Rows(all) => {
            rows(all.len(), "")?;
            all.iter().flatten().try_for_each(|row| check_names(row.iter().map(|(field, _)| field).collect()))
        }
    }
}

fn check_names(model: &str, unit: Unit, mut fields: Vec<&String>) -> Result<()> {
    if let Some(field) = fields.iter().find(|field| unit.reserved_fields().contains(&field.as_str())) {
        return Err(Error::model(format!(
            "predict of model {model} returned a field named {field:?}, which the result record already has: give it \
             another name"
        )));
    }
    fields.sort_unstable();
    if let Some(twice) = fields.windows(2).find(|pair| pair[0] == pair[1]) {
        let field = twice[0];
        return Err(Error::model(format!("predict of model {model} returned the field {field:?} twice")));
    }
    Ok(())
}
