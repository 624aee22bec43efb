//! The breaker of one model: a typo must not send a backlog to the dead-letter topic. A batch in which every window
//! failed is held back; too many in a row stop the run, and none of them is committed.

use crate::time::Millis;

/// Batches in a row, and windows in them, in which nothing but failures stops the run.
const BATCHES: usize = 3;
const WINDOWS: usize = 32;
/// What is held is let go when no other batch has come for this long.
const QUIET_MS: Millis = 5_000;

/// What to do with a batch in which every window failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its outcome waits.
    Held,
    /// The run is stopped: so many batches in a row, so many windows in them.
    Stop(usize, usize),
}

/// Holds what came of batches in which every window failed. `T` is the outcome of one.
#[derive(Debug)]
pub(super) struct Breaker<T> {
    held: Vec<T>,
    windows: usize,
    /// Batches that are being called.
    running: usize,
    /// When the last batch ended.
    last: Millis,
    /// Whether the model has ever given a row as it must.
    proven: bool,
}

impl<T> Default for Breaker<T> {
    fn default() -> Self {
        Self { held: Vec::new(), windows: 0, running: 0, last: 0, proven: false }
    }
}

impl<T> Breaker<T> {
    /// A batch is about to be called.
    pub(super) fn began(&mut self) {
        self.running += 1;
    }

    /// A batch has ended, whatever came of it.
    pub(super) fn ended(&mut self, now: Millis) {
        self.running -= 1;
        self.last = now;
    }

    /// Whether the model has ever given a row as it must.
    pub(super) fn proven(&self) -> bool {
        self.proven
    }

    /// The model has given a row as it must.
    pub(super) fn prove(&mut self) {
        self.proven = true;
    }

    /// A window has succeeded: what is held was no fault of the model as a whole.
    pub(super) fn succeeded(&mut self) -> Vec<T> {
        self.release()
    }

    /// Every window of a batch has failed.
    pub(super) fn failed(&mut self, windows: usize, outcome: T) -> Verdict {
        self.held.push(outcome);
        self.windows += windows;
        if self.held.len() >= BATCHES && self.windows >= WINDOWS {
            return Verdict::Stop(self.held.len(), self.windows);
        }
        Verdict::Held
    }

    /// For how long what is held still waits; none where nothing is held.
    pub(super) fn waits(&self, now: Millis) -> Option<Millis> {
        (!self.held.is_empty()).then(|| (self.last + QUIET_MS - now).max(0))
    }

    /// What is held, where no other batch has come for long enough.
    pub(super) fn due(&mut self, now: Millis) -> Vec<T> {
        let due = self.running == 0 && self.waits(now) == Some(0);
        if due { self.release() } else { Vec::new() }
    }

    /// What is held, for good.
    pub(super) fn release(&mut self) -> Vec<T> {
        self.windows = 0;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(breaker: &mut Breaker<usize>, windows: usize, now: Millis) -> Verdict {
        breaker.began();
        let verdict = breaker.failed(windows, windows);
        breaker.ended(now);
        verdict
    }

    #[test]
    fn three_batches_of_failures_with_32_windows_stop_the_run() {
        let mut breaker = Breaker::default();
        assert_eq!(failed(&mut breaker, 20, 1), Verdict::Held);
        assert_eq!(failed(&mut breaker, 20, 2), Verdict::Held);
        assert_eq!(failed(&mut breaker, 1, 3), Verdict::Stop(3, 41));
    }

    #[test]
    fn fewer_windows_than_32_never_do() {
        let mut breaker = Breaker::default();
        for n in 1..=31 {
            assert_eq!(failed(&mut breaker, 1, n), Verdict::Held);
        }
        assert_eq!(failed(&mut breaker, 1, 32), Verdict::Stop(32, 32));
    }

    #[test]
    fn a_success_releases_what_is_held_and_the_row_begins_anew() {
        let mut breaker = Breaker::default();
        failed(&mut breaker, 100, 1);
        failed(&mut breaker, 50, 2);
        assert_eq!(breaker.succeeded(), [100, 50]);
        assert_eq!(failed(&mut breaker, 100, 3), Verdict::Held);
        assert_eq!(failed(&mut breaker, 100, 4), Verdict::Held);
    }

    #[test]
    fn five_seconds_without_another_batch_release_it() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.waits(0), None);
        failed(&mut breaker, 7, 1_000);
        assert_eq!(breaker.waits(2_000), Some(4_000));
        assert!(breaker.due(5_999).is_empty());
        breaker.began();
        assert!(breaker.due(6_000).is_empty(), "another batch is being called");
        breaker.ended(7_000);
        assert!(breaker.due(11_999).is_empty());
        assert_eq!(breaker.due(12_000), [7]);
        assert_eq!(breaker.waits(12_000), None);
    }
}
