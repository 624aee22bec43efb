//! A batch whose call failed is called again, then halved until each window that is to blame is alone: for one in n,
//! at most 1 + 2 log2(n) calls beside the retries. Its siblings get their results. A model that takes windows one by one
//! says which of them it failed on, and nothing is halved.

use crate::batch::Batch;
use crate::error::{Error, Result};

/// Makes the calls, and takes in what comes of them.
pub(super) trait Caller {
    /// Calls the model once. After a failure the batch is as it was.
    fn call(&mut self, batch: &mut Batch) -> Result<()>;

    /// Waits before a call is made again for the `attempt`th time. An error where the run ends meanwhile.
    fn pause(&mut self, attempt: u32) -> Result<()>;

    /// An error where the run is ending: no more calls are to be made.
    fn go_on(&self) -> Result<()>;

    /// A batch of one window whose call failed.
    fn poison(&mut self, batch: &Batch, error: Error) -> Result<()>;
}

/// Whether a failure may be blamed on windows. Anything else is the run's.
fn contained(error: &Error) -> bool {
    match error {
        Error::Model(_) => true,
        Error::ModelRaised { fatal, .. } => !fatal,
        _ => false,
    }
}

/// Calls a batch, up to `retries` times more where the model raises.
pub(super) fn retried<C: Caller>(caller: &mut C, batch: &mut Batch, retries: u32) -> Result<()> {
    let mut attempt = 0;
    loop {
        match caller.call(batch) {
            // Calling again does not mend a result of the wrong form.
            Err(error @ Error::ModelRaised { fatal: false, .. }) if attempt < retries => {
                if caller.pause(attempt).is_err() {
                    return Err(Error::Ended(error.to_string()));
                }
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Calls a batch, and finds the windows that are to blame where it fails.
pub(super) fn isolate<C: Caller>(caller: &mut C, batch: &mut Batch, retries: u32) -> Result<()> {
    match retried(caller, batch, retries) {
        Ok(()) => Ok(()),
        Err(error) => narrow(caller, batch, error, retries).map(drop),
    }
}

/// Halves a batch that has failed; returns how many windows were to blame.
fn narrow<C: Caller>(caller: &mut C, batch: &Batch, error: Error, retries: u32) -> Result<usize> {
    if !contained(&error) {
        return Err(error);
    }
    if let Some(window) = named(&error, batch) {
        return around(caller, batch, window, error, retries);
    }
    if batch.len() <= 1 {
        caller.poison(batch, error)?;
        return Ok(1);
    }
    let (half, mut blamed) = (batch.len().div_ceil(2), 0);
    for windows in [0..half, half..batch.len()] {
        caller.go_on()?;
        let mut part = batch.pick(windows);
        if let Err(error) = caller.call(&mut part) {
            blamed += narrow(caller, &part, error, retries)?;
        }
    }
    // A result of the wrong form that no window explains is the model's: it mixes windows up.
    match error {
        Error::Model(_) if blamed == 0 => Err(error),
        _ => Ok(blamed),
    }
}

/// The window that a failure names.
fn named(error: &Error, batch: &Batch) -> Option<usize> {
    match error {
        Error::ModelRaised { fatal: false, window, .. } => window.filter(|window| *window < batch.len()),
        _ => None,
    }
}

/// Takes the window that a failure names out, then the next one; returns how many were to blame. Those before it are
/// called again, as their results went with the failure.
fn around<C: Caller>(
    caller: &mut C,
    batch: &Batch,
    window: usize,
    error: Error,
    retries: u32,
) -> Result<usize> {
    let (mut from, mut at, mut error, mut blamed) = (0, window, error, 0);
    loop {
        if at > from {
            caller.go_on()?;
            let mut before = batch.pick(from..at);
            if let Err(error) = caller.call(&mut before) {
                blamed += narrow(caller, &before, error, retries)?;
            }
        }
        caller.poison(&batch.pick(at..at + 1), error)?;
        (from, blamed) = (at + 1, blamed + 1);
        if from == batch.len() {
            return Ok(blamed);
        }
        caller.go_on()?;
        let mut rest = batch.pick(from..batch.len());
        match retried(caller, &mut rest, retries) {
            Ok(()) => return Ok(blamed),
            Err(next) => match named(&next, &rest) {
                Some(window) => (at, error) = (from + window, next),
                None => return Ok(blamed + narrow(caller, &rest, next, retries)?),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::batch::{Values, WindowMeta};
    use crate::record::Key;
    use crate::strikes::Trust;

    fn raised() -> Error {
        Error::ModelRaised {
            model: "m".into(),
            summary: "boom".into(),
            traceback: String::new(),
            fatal: false,
            window: None,
            cause: "boom".into(),
        }
    }

    /// A failure at a place of the batch.
    fn raised_at(at: usize) -> Error {
        match raised() {
            Error::ModelRaised { model, summary, traceback, fatal, cause, .. } => {
                Error::ModelRaised { model, summary, traceback, fatal, window: Some(at), cause }
            }
            other => other,
        }
    }

    /// A model that fails on windows by their values.
    struct Script<F> {
        fails: F,
        calls: usize,
        pauses: Vec<u32>,
        good: Vec<i64>,
        poison: Vec<i64>,
    }

    impl<F: FnMut(&[i64]) -> Result<()>> Caller for Script<F> {
        fn call(&mut self, batch: &mut Batch) -> Result<()> {
            self.calls += 1;
            let values: Vec<i64> = (0..batch.len()).map(|row| batch.values.get(row) as i64).collect();
            assert_eq!(values, batch.windows.iter().map(|window| window.start).collect::<Vec<_>>());
            (self.fails)(&values)?;
            self.good.extend(values);
            Ok(())
        }

        fn pause(&mut self, attempt: u32) -> Result<()> {
            self.pauses.push(attempt);
            Ok(())
        }

        fn go_on(&self) -> Result<()> {
            Ok(())
        }

        fn poison(&mut self, batch: &Batch, _: Error) -> Result<()> {
            self.poison.push(batch.windows[0].start);
            Ok(())
        }
    }

    fn batch(windows: i64) -> Batch {
        let meta = |start| WindowMeta {
            assignment: 0,
            epoch: 0,
            partition: 0,
            key: Key::from(&b"k"[..]),
            start,
            end: start + 1,
            events: 1,
            offsets: (0, 0),
            trust: Trust::Full,
        };
        Batch {
            windows: (0..windows).map(meta).collect(),
            values: Values::F64((0..windows).map(|value| value as f64).collect()),
            row_splits: (0..=windows).collect(),
            ..Batch::default()
        }
    }

    fn script<F: FnMut(&[i64]) -> Result<()>>(fails: F) -> Script<F> {
        Script { fails, calls: 0, pauses: Vec::new(), good: Vec::new(), poison: Vec::new() }
    }

    #[test]
    fn one_poison_window_in_n_costs_at_most_1_and_2_log_n_calls() {
        for n in [1_i64, 2, 3, 7, 64, 100, 255, 256, 257] {
            for poison in 0..n {
                let mut caller =
                    script(|values: &[i64]| if values.contains(&poison) { Err(raised()) } else { Ok(()) });
                isolate(&mut caller, &mut batch(n), 0).unwrap();
                assert_eq!(caller.poison, [poison]);
                assert_eq!(caller.good, (0..n).filter(|window| *window != poison).collect::<Vec<_>>());
                let most = 1 + 2 * (n as f64).log2().ceil() as usize;
                assert!(caller.calls <= most, "{} calls of {most} for {poison} in {n}", caller.calls);
            }
        }
    }

    #[test]
    fn every_poison_window_is_found_and_no_other() {
        let bad = [0, 3, 4, 17, 31];
        let mut caller =
            script(
                |values: &[i64]| {
                    if values.iter().any(|value| bad.contains(value)) { Err(raised()) } else { Ok(()) }
                },
            );
        isolate(&mut caller, &mut batch(32), 0).unwrap();
        assert_eq!(caller.poison, bad);
        assert_eq!(caller.good.len(), 27);
    }

    #[test]
    fn windows_that_a_failure_names_are_taken_out_without_a_search() {
        for bad in [vec![0], vec![31], vec![7], vec![0, 3, 4, 17, 31], (0..32).collect()] {
            let mut seen = 0;
            let mut caller = script(|values: &[i64]| {
                let first = values.iter().position(|value| bad.contains(value));
                seen += first.map_or(values.len(), |at| at + 1);
                first.map_or(Ok(()), |at| Err(raised_at(at)))
            });
            isolate(&mut caller, &mut batch(32), 0).unwrap();
            assert_eq!(caller.poison, bad);
            assert_eq!(caller.good, (0..32).filter(|value| !bad.contains(value)).collect::<Vec<_>>());
            let calls = caller.calls;
            assert!(calls <= 1 + 2 * bad.len(), "{calls} calls for {bad:?}");
            assert!(seen <= 2 * 32, "the model looked at {seen} windows for {bad:?}");
        }
    }

    #[test]
    fn each_window_that_a_failure_names_has_its_retries() {
        let mut caller = script(|values: &[i64]| {
            values.iter().position(|value| [2, 5].contains(value)).map_or(Ok(()), |at| Err(raised_at(at)))
        });
        isolate(&mut caller, &mut batch(8), 1).unwrap();
        assert_eq!((caller.pauses, caller.poison), (vec![0, 0], vec![2, 5]));
        assert_eq!(caller.good, [0, 1, 3, 4, 6, 7]);
    }

    #[test]
    fn a_failure_that_passes_is_mended_by_a_retry() {
        let mut left = 2;
        let mut caller = script(|_: &[i64]| {
            left -= 1;
            if left >= 0 { Err(raised()) } else { Ok(()) }
        });
        isolate(&mut caller, &mut batch(8), 3).unwrap();
        assert_eq!((caller.calls, caller.pauses, caller.good.len()), (3, vec![0, 1], 8));
        assert!(caller.poison.is_empty());
    }

    #[test]
    fn retries_are_made_before_the_batch_is_halved_and_for_exceptions_only() {
        let mut caller = script(|values: &[i64]| if values.contains(&5) { Err(raised()) } else { Ok(()) });
        isolate(&mut caller, &mut batch(8), 2).unwrap();
        assert_eq!((caller.calls, caller.pauses), (2 + 1 + 6, vec![0, 1]));
        let form = |values: &[i64]| if values.contains(&5) { Err(Error::model("rows")) } else { Ok(()) };
        let mut caller = script(form);
        isolate(&mut caller, &mut batch(8), 2).unwrap();
        assert_eq!((caller.calls, caller.pauses, caller.poison), (1 + 6, vec![], vec![5]));
    }

    #[test]
    fn a_result_of_the_wrong_form_that_no_window_explains_is_the_models_own_fault() {
        let mut caller =
            script(|values: &[i64]| if values.len() > 1 { Err(Error::model("1 row")) } else { Ok(()) });
        let error = isolate(&mut caller, &mut batch(8), 0).unwrap_err();
        assert!(matches!(error, Error::Model(_)));
    }

    #[test]
    fn what_is_no_failure_of_the_model_ends_the_run() {
        let mut caller = script(|_: &[i64]| Err(Error::Ended("bye".into())));
        assert!(isolate(&mut caller, &mut batch(8), 5).is_err());
        assert_eq!(caller.calls, 1);
    }
}
