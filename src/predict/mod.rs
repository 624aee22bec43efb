//! The model as the pipeline sees it: a batch in, as many rows out. Its in-memory twin is a closure.

mod pool;

pub use pool::{Job, Pool, Predictor, Watch};

use crate::batch::Batch;
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
    Json(Vec<serde_json::Value>),
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
}

/// What a model returned: named columns, each of as many rows as the batch has windows.
pub type Outputs = Vec<(String, Column)>;

/// Field names that the pipeline writes itself.
pub const RESERVED_FIELDS: [&str; 3] = ["key", "window", "n_events"];

/// A model that is called with batches, from several threads at once.
pub trait Model: Send + Sync {
    /// Predicts a row for each window. It may take the arrays out of the batch, but not its windows.
    fn predict(&self, worker: usize, batch: &mut Batch) -> Result<Outputs>;

    /// Runs the body of a worker thread, within whatever the model needs around its calls.
    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        body();
    }

    /// Runs something that waits or works without the model, within `enter`.
    fn detached(&self, body: &mut (dyn FnMut() + Send)) {
        body();
    }
}

impl<F> Model for F
where
    F: Fn(&mut Batch) -> Result<Outputs> + Send + Sync,
{
    fn predict(&self, _worker: usize, batch: &mut Batch) -> Result<Outputs> {
        self(batch)
    }
}

/// Checks what a model returned against the batch it was given.
pub fn check_outputs(model: &str, windows: usize, outputs: &Outputs) -> Result<()> {
    for (index, (field, column)) in outputs.iter().enumerate() {
        if column.len() != windows {
            return Err(Error::model(format!(
                "predict of model {model} returned {} rows in field {field:?} for {windows} windows: return exactly \
                 one row per window",
                column.len()
            )));
        }
        if RESERVED_FIELDS.contains(&field.as_str()) {
            return Err(Error::model(format!(
                "predict of model {model} returned a field named {field:?}, which the result record already has: \
                 give it another name"
            )));
        }
        if outputs[..index].iter().any(|(other, _)| other == field) {
            return Err(Error::model(format!("predict of model {model} returned the field {field:?} twice")));
        }
    }
    Ok(())
}
