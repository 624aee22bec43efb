//! `Engine.backtest`: frames in, tables out. The work is done on threads of its own; this one waits, detached, and
//! looks at signals.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::columns::Filler;
use super::error::to_py;
use super::result_table::{self, ArrowTable};
use super::stream;
use super::wait::STEP;
use crate::backtest::{Disorder, OneAtATime, Options, Order, Outcome, Progress, offline, run};
use crate::config::{Plan, SourceConfig};
use crate::control::Control;
use crate::decode::Table;
use crate::error::{Error, Result};
use crate::lane::Routes;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::predict::Model;
use crate::shared::Shared;

/// How long an interrupted backtest may take to end before it is left behind in a call that does not return.
const ABORT: Duration = Duration::from_secs(2);

/// Results by sink, and what has none.
pub(super) type Tables = (Vec<(String, ArrowTable)>, ArrowTable);

/// How frames are replayed, as Python says it.
#[derive(FromPyObject)]
pub(super) struct Wanted {
    #[pyo3(item)]
    order: String,
    /// Seed, delay, share of late events, and by how much.
    #[pyo3(item)]
    disorder: Option<(u64, i64, f64, i64)>,
    #[pyo3(item)]
    drain: bool,
    #[pyo3(item)]
    workers: usize,
    /// Models that are called by one worker at a time.
    #[pyo3(item)]
    serial: Vec<usize>,
}

impl Wanted {
    fn options(self) -> Options {
        let order = match self.disorder {
            Some((seed, delay, late, late_by)) => Order::Arrival(Disorder { seed, delay, late, late_by }),
            None if self.order == "row" => Order::Row,
            None => Order::Time,
        };
        Options { order, drain: self.drain, workers: self.workers.max(1) }
    }
}

/// The frames of topics as tables of their sources.
pub(super) fn read(
    py: Python<'_>,
    plan: &Plan,
    frames: Vec<(String, Bound<'_, PyAny>)>,
) -> PyResult<Vec<Option<Table>>> {
    let mut tables: Vec<Option<Table>> = plan.sources.iter().map(|_| None).collect();
    for (topic, frame) in frames {
        let Some(place) = plan.sources.iter().position(|source| source.topic == topic) else { continue };
        let mut reader = stream::reader(&frame).map_err(|error| unreadable(py, &topic, error))?;
        let table = py.detach(|| fill(&plan.sources[place], &mut reader));
        tables[place] = Some(table.map_err(|error| to_py(py, error))?);
    }
    Ok(tables)
}

/// The libraries of frames refuse columns of mixed or unknown types, each in its own words.
fn unreadable(py: Python<'_>, topic: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let said = error.value(py).to_string();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let refused = to_py(
        py,
        Error::config(format!(
            "the frame of topic {topic:?} cannot be read: {said}; give each column a name of its own and one type"
        )),
    );
    refused.set_cause(py, Some(error));
    refused
}

fn fill(
    source: &SourceConfig,
    reader: &mut arrow_array::ffi_stream::ArrowArrayStreamReader,
) -> Result<Table> {
    let schema = arrow_array::RecordBatchReader::schema(reader);
    let mut filler = Filler::new(source, &schema)?;
    for batch in reader {
        let batch = batch.map_err(|error| {
            Error::config(format!("the frame of topic {:?} cannot be read: {error}", source.topic))
        })?;
        filler.add(&batch)?;
    }
    Ok(filler.finish())
}

/// Replays tables; `between` is called every now and then with how far it is.
pub(super) fn replay(
    py: Python<'_>,
    (plan, metrics, says, control): (&Plan, &Arc<Metrics>, &Log, &Control),
    models: Vec<Arc<dyn Model>>,
    tables: Vec<Option<Table>>,
    wanted: Wanted,
    between: impl Fn((u64, u64)) -> PyResult<()>,
) -> PyResult<Tables> {
    let plan = Arc::new(offline(plan, wanted.workers.max(1)));
    let shared = Shared {
        plan: plan.clone(),
        metrics: metrics.clone(),
        log: says.clone(),
        control: control.clone(),
        routes: Routes::keep_all(&plan),
        adopt: false,
        until_end: None,
    };
    let one_at_a_time = |(place, model): (usize, Arc<dyn Model>)| -> Arc<dyn Model> {
        if wanted.serial.contains(&place) { Arc::new(OneAtATime::new(model)) } else { model }
    };
    let models: Vec<Arc<dyn Model>> = models.into_iter().enumerate().map(one_at_a_time).collect();
    let (options, progress) = (wanted.options(), Arc::new(Progress::default()));
    let seen = progress.clone();
    let body = move || run(&shared, &models, tables, &options, &progress);
    let Outcome { results, dropped } = wait(py, control, body, || between(seen.get()))?;
    between(seen.get())?;
    let sinks = plan.sinks().into_iter().map(str::to_owned).zip(results);
    let sinks = sinks.map(|(sink, results)| Ok((sink, result_table::results(results)?)));
    Ok((sinks.collect::<PyResult<_>>()?, result_table::dropped(&plan, &dropped)?))
}

fn wait(
    py: Python<'_>,
    control: &Control,
    body: impl FnOnce() -> Result<Outcome> + Send + 'static,
    between: impl Fn() -> PyResult<()>,
) -> PyResult<Outcome> {
    let (done, outcome) = bounded(1);
    let name = "millstream-backtest";
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(done.send(body())));
    let thread = thread.map_err(|error| to_py(py, Error::config(error)))?;
    let mut interrupted: Option<(PyErr, Instant)> = None;
    let ended = loop {
        match py.detach(|| outcome.recv_timeout(STEP)) {
            Ok(ended) => break Some(ended),
            Err(RecvTimeoutError::Disconnected) => {
                let what = "it ended without a word".to_owned();
                break Some(Err(Error::Internal { thread: name.to_owned(), what }));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        match &interrupted {
            Some((_, at)) if at.elapsed() > ABORT => break None,
            Some(_) => {}
            None => {
                interrupted = between().err().map(|error| (error, Instant::now()));
                if interrupted.is_some() {
                    control.abort();
                }
            }
        }
    };
    if ended.is_some() {
        py.detach(|| drop(thread.join()));
    }
    match (interrupted, ended) {
        (Some((error, _)), _) => Err(error),
        (None, Some(ended)) => ended.map_err(|error| to_py(py, error)),
        (None, None) => Err(to_py(py, Error::Ended("the backtest was stopped".to_owned()))),
    }
}
