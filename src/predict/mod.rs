//! The model as the pipeline sees it: a batch in, as many rows out. Its in-memory twin is a closure.

mod outputs;
mod pool;

pub use outputs::{Column, Outputs, RESERVED_FIELDS, check_outputs};
pub use pool::{Job, Pool, Predictor, Watch};

use crate::batch::Batch;
use crate::error::Result;

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
