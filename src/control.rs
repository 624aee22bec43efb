//! How a run ends: a stop that finishes what runs, an abort that gives up, or the first error of any thread.
//! A thread that panics fails the run; nothing is left waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::fault::{self, Mutant};

// 0 is running.
const STOPPING: u8 = 1;
const ABORTING: u8 = 2;

/// The shared state of a run.
#[derive(Clone, Debug, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    error: Mutex<Option<Error>>,
}

impl Control {
    /// Take no more records; finish running calls, commit once.
    pub fn stop(&self) {
        self.shared.state.fetch_max(STOPPING, Ordering::AcqRel);
    }

    /// Give up: nothing more is committed.
    pub fn abort(&self) {
        self.shared.state.fetch_max(ABORTING, Ordering::AcqRel);
    }

    /// The run failed. The first error is the one that is told.
    pub fn fail(&self, error: Error) {
        self.lock().get_or_insert(error);
        self.abort();
    }

    /// Whether the run is to end.
    pub fn stopping(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) >= STOPPING
    }

    /// Whether the run is to end at once.
    pub fn aborting(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) >= ABORTING
    }

    /// The error that ended the run.
    pub fn take_error(&self) -> Option<Error> {
        self.lock().take()
    }

    /// Runs the body of a thread: its error, or its panic, fails the run.
    pub fn guard(&self, thread: &str, body: impl FnOnce() -> Result<()>) {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(error),
            Err(_) if fault::is(Mutant::SwallowPanic) => {}
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                self.fail(Error::Internal { thread: thread.to_owned(), what: text.unwrap_or_default() });
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_fails_the_run_with_its_message() {
        let control = Control::default();
        control.guard("worker", || panic!("boom {}", 7));
        assert!(control.aborting());
        let text = control.take_error().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("worker") && text.contains("boom 7"), "{text}");
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let control = Control::default();
        control.guard("a", || Err(Error::config("first")));
        control.guard("b", || Err(Error::config("second")));
        assert_eq!(control.take_error().map(|error| error.to_string()), Some("first".to_owned()));
    }
}
