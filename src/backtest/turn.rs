//! Calls of a model one at a time, whatever the number of threads: for models that declare a single worker.

use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::Batch;
use crate::error::Result;
use crate::predict::{Model, Outputs};

/// A model whose calls wait for each other. Shards wait detached, so whoever has the turn can attach.
pub struct OneAtATime {
    model: Arc<dyn Model>,
    turn: Mutex<()>,
}

impl OneAtATime {
    /// The same model, one call at a time.
    pub fn new(model: Arc<dyn Model>) -> Self {
        Self { model, turn: Mutex::new(()) }
    }
}

impl Model for OneAtATime {
    fn predict(&self, worker: usize, batch: &mut Batch) -> Result<Outputs> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.model.predict(worker, batch)
    }

    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        self.model.enter(body);
    }

    fn detached(&self, body: &mut (dyn FnMut() + Send)) {
        self.model.detached(body);
    }
}
