//! Since when each worker of a model has been in a call: long calls are told of, and one that has taken longer than it
//! may ends the run, with its windows remembered.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::batch::WindowMeta;
use crate::commit::ToSink;
use crate::config::OnError;
use crate::control::Control;
use crate::encode::describe;
use crate::error::Error;
use crate::log::{Log, Said};
use crate::strikes::{Namer, Strike};

/// After how long a call that has not returned is told of.
const LONG_CALL: Duration = Duration::from_secs(30);
/// How long the sink stage may take to commit what is remembered.
const LAST_COMMIT: Duration = Duration::from_secs(10);
/// Windows that are named in an error.
const NAMED: usize = 5;

/// A call that is under way.
#[derive(Debug)]
struct Call {
    began: Instant,
    told: bool,
    /// Its windows and who waits for them, where there is a time-out.
    limited: Option<(Vec<WindowMeta>, Sender<ToSink>)>,
    /// Since when it has been over its time.
    over: Option<Instant>,
}

/// The calls of one model.
#[derive(Debug)]
pub struct Watch {
    model: String,
    timeout: Option<Duration>,
    on_error: OnError,
    namer: Namer,
    calls: Vec<Mutex<Option<Call>>>,
}

impl Watch {
    pub(super) fn new(
        model: &str,
        timeout: Option<Duration>,
        on_error: OnError,
        namer: Namer,
        workers: usize,
    ) -> Self {
        let calls = (0..workers).map(|_| Mutex::default()).collect();
        Self { model: model.to_owned(), timeout, on_error, namer, calls }
    }

    /// A worker calls the model; results of these windows are for `reply`.
    pub(super) fn begin(&self, worker: usize, windows: &[WindowMeta], reply: &Sender<ToSink>) {
        let limited = self.timeout.map(|_| (windows.to_vec(), reply.clone()));
        let call = Call { began: Instant::now(), told: false, limited, over: None };
        *self.calls[worker].lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
    }

    /// The call has returned.
    pub(super) fn end(&self, worker: usize) {
        *self.calls[worker].lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Looks at the calls that are under way.
    pub fn look(&self, log: &Log, control: &Control) {
        for (worker, call) in self.calls.iter().enumerate() {
            let mut call = call.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(call) = call.as_mut() else { continue };
            if call.began.elapsed() > LONG_CALL && !call.told {
                call.told = true;
                let seconds = LONG_CALL.as_secs();
                let text = format!(
                    "worker {worker} of model {} has been in one call of predict for more than {seconds} s",
                    self.model
                );
                log.warning("predict", Said::from(text).model(&self.model));
            }
            if let Some(timeout) = self.timeout.filter(|timeout| call.began.elapsed() > *timeout) {
                self.over(call, timeout, control);
            }
        }
    }

    /// A thread cannot be ended, so the run is; the sink stage commits first what is to be remembered.
    fn over(&self, call: &mut Call, timeout: Duration, control: &Control) {
        let Some((windows, reply)) = &call.limited else { return };
        let error = Error::model(self.text(windows, timeout));
        if self.on_error == OnError::Fail {
            return control.fail(error);
        }
        match call.over {
            None => {
                call.over = Some(Instant::now());
                let strike = Strike { namer: self.namer.clone(), windows: windows.clone(), error };
                if let Err(unsent) = reply.send_timeout(ToSink::Struck(strike), Duration::from_millis(100))
                    && let ToSink::Struck(strike) = unsent.into_inner()
                {
                    control.fail(strike.error);
                }
            }
            Some(since) if since.elapsed() > LAST_COMMIT => control.fail(error),
            Some(_) => {}
        }
    }

    fn text(&self, windows: &[WindowMeta], timeout: Duration) -> String {
        let named: Vec<String> = windows.iter().take(NAMED).map(describe).collect();
        let more = windows.len().saturating_sub(NAMED);
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "predict of model {} has not returned within timeout={}ms on {} windows: {}{others}. A thread cannot be ended, \
             so the run is. A window that ends the run {} times is not tried again, but goes the way of on_error",
            self.model,
            timeout.as_millis(),
            windows.len(),
            named.join(", "),
            crate::strikes::MOST
        )
    }
}
