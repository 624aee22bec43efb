//! The model as the pipeline sees it: a batch in, as many rows out. Its in-memory twin is a closure.

mod batcher;
mod breaker;
mod isolate;
mod jobs;
mod outputs;
mod packed;
mod pool;
mod predictor;
mod watch;

pub use batcher::{Batcher, Bounds, Size};
pub use jobs::{Job, Jobs, Load, Waiting};
pub(crate) use outputs::check_outputs;
pub use outputs::{Column, Outputs};
pub use packed::{Packed, unpack};
pub use pool::{Pool, WAITING};
pub use predictor::{Pace, Predictor};
pub use watch::Watch;

use crate::batch::Batch;
use crate::error::Result;

/// A model that is called with batches, from several threads at once.
pub trait Model: Send + Sync {
    /// Predicts a row for each window. It may take the arrays out of the batch, which it then lends to what can give
    /// them back, but not its windows. A call that a model of its own can end, by killing what runs it, ends with an
    /// error like any other.
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
