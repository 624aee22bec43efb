//! `Engine`: one app made ready to run, and the one function that blocks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::backtest::{self, Tables, Wanted};
use super::error::to_py;
use super::offline::{Fed, Output, run_test};
use super::process::caller;
use super::wait::{STEP, beside};
use super::{log, metrics};
use crate::config::Plan;
use crate::control::Control;
use crate::error::Error;
use crate::kafka::{self, Topics};
use crate::log::{LogReader, Scrub};
use crate::metrics::Metrics;
use crate::pipeline::{self, Running};
use crate::predict::Model;
use crate::shared::Shared;
use crate::status::{StatusServer, Web};

/// One app made ready to run: a checked plan and the hooks of its models.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct Engine {
    plan: Arc<Plan>,
    hooks: Vec<Py<PyAny>>,
    /// Of the run that is under way, or of the next one: a stop may come before it.
    current: Mutex<(Control, Arc<Metrics>)>,
    web: Mutex<StatusPage>,
}

/// The status page of the runs of an engine.
#[derive(Debug, Default)]
struct StatusPage {
    wanted: Option<Web>,
    /// Where that of the run under way is.
    url: Option<String>,
}

/// What the main thread does between its waits.
struct Housekeeping<'a> {
    log: &'a LogReader,
    tick: Option<Bound<'a, PyAny>>,
}

impl Housekeeping<'_> {
    fn between(&self, py: Python<'_>) -> PyResult<()> {
        log::hand_over(py, self.log)?;
        py.check_signals()?;
        match &self.tick {
            Some(tick) => tick.call0().map(drop),
            None => Ok(()),
        }
    }
}

impl Engine {
    fn current(&self) -> MutexGuard<'_, (Control, Arc<Metrics>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn web(&self) -> MutexGuard<'_, StatusPage> {
        self.web.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the status server where one is wanted.
    fn start_server(
        &self,
        metrics: &Arc<Metrics>,
        control: &Control,
        says: &crate::log::Log,
    ) -> crate::error::Result<Option<StatusServer>> {
        let mut web = self.web();
        let Some(wanted) = web.wanted.clone() else { return Ok(None) };
        let server = StatusServer::start(wanted, &self.plan, metrics, control, says)?;
        web.url = server.as_ref().map(|server| server.url().to_owned());
        Ok(server)
    }

    /// The exception for an error of a run, without secrets.
    fn to_py(&self, py: Python<'_>, error: Error) -> PyErr {
        to_py(py, Scrub::of(&self.plan).error(error))
    }

    /// Starts what the models need beside this process, before there is any client of a cluster.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.hooks.iter().try_for_each(|hooks| hooks.call_method0(py, "start").map(drop))
    }

    /// Loads the models.
    fn open(&self, py: Python<'_>) -> PyResult<Vec<Arc<dyn Model>>> {
        let metrics = self.current().1.clone();
        let models = self.hooks.iter().zip(&self.plan.models).enumerate().map(|(index, (hooks, config))| {
            let calls: Vec<Py<PyAny>> = hooks.call_method0(py, "open")?.extract(py)?;
            Ok(caller(config, calls, &metrics, index))
        });
        models.collect()
    }

    /// Lets go of the models; the first exception is told if nothing else is.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut outcome = Ok(());
        for hooks in &self.hooks {
            if let Err(error) = hooks.call_method0(py, "close") {
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    /// Gives up the calls that can be given up.
    fn cancel(&self, py: Python<'_>) {
        for hooks in &self.hooks {
            // What a call cannot be told, it is not waited for either.
            let _ = hooks.call_method0(py, "cancel");
        }
    }

    /// Runs `body` with the hooks of the models started.
    fn with_hooks<T>(&self, py: Python<'_>, body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        let outcome = self.start(py).and_then(|()| body());
        let closed = self.close(py);
        let value = outcome?;
        closed.map(|()| value)
    }

    fn run_on_kafka(
        &self,
        py: Python<'_>,
        shared: impl FnOnce(&Topics) -> Shared,
        housekeeping: &Housekeeping<'_>,
        says: &crate::log::Log,
    ) -> PyResult<()> {
        self.with_hooks(py, || {
            let Some(topics) = self.prepare(py, says, housekeeping)? else { return Ok(()) };
            let shared = shared(&topics);
            let topics = Arc::new(topics);
            let models = self.open(py)?;
            let (of_lanes, all) = (shared.clone(), topics.clone());
            let connect = move |lane| kafka::connect(&of_lanes, &all, lane);
            let running =
                pipeline::start(&shared, &models, connect).map_err(|error| self.to_py(py, error))?;
            self.wait(py, &shared, running, housekeeping)
        })
    }

    /// Looks at the cluster, on a thread of its own so that a signal can end the wait. None on a stop.
    fn prepare(
        &self,
        py: Python<'_>,
        says: &crate::log::Log,
        housekeeping: &Housekeeping<'_>,
    ) -> PyResult<Option<Topics>> {
        let (plan, says, control) = (self.plan.clone(), says.clone(), self.current().0.clone());
        let prepared = beside(
            py,
            "millstream-prepare",
            move || kafka::prepare(&plan, &says),
            || {
                housekeeping.between(py)?;
                Ok(!control.stopping())
            },
        )?;
        prepared.transpose().map_err(|error| self.to_py(py, error))
    }

    /// Waits for the lanes, detached; a stop is given `drain_timeout`, then the run is aborted.
    fn wait(
        &self,
        py: Python<'_>,
        shared: &Shared,
        mut running: Running,
        housekeeping: &Housekeeping<'_>,
    ) -> PyResult<()> {
        let (control, timeout) = (&shared.control, Duration::from_millis(self.plan.drain_timeout_ms as u64));
        let mut deadline: Option<Instant> = None;
        let mut interrupted = Ok(());
        while !py.detach(|| running.wait(STEP)) {
            if let Err(error) = housekeeping.between(py) {
                interrupted = Err(error);
                control.abort();
            }
            if control.stopping()
                && Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + timeout)
            {
                shared.log.warning(
                    "run",
                    format!("the stop took longer than drain_timeout ({timeout:?}): aborted"),
                );
                control.abort();
            }
            if control.aborting() {
                break;
            }
        }
        if control.aborting() {
            self.cancel(py);
        }
        let ended = py.detach(|| running.join());
        interrupted?;
        ended.map_err(|error| self.to_py(py, error))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, plan: &str, models: Vec<Py<PyAny>>) -> PyResult<Self> {
        let checked = Plan::from_json(plan).and_then(|plan| {
            kafka::check_settings(&plan)?;
            Ok(plan)
        });
        let plan = Arc::new(checked.map_err(|error| to_py(py, error))?);
        let metrics = Arc::new(Metrics::new(&plan));
        Ok(Self {
            plan,
            hooks: models,
            current: Mutex::new((Control::default(), metrics)),
            web: Mutex::default(),
        })
    }

    #[pyo3(signature = (*, until_end, drain, adopt, tick))]
    fn run(
        &self,
        py: Python<'_>,
        until_end: bool,
        drain: bool,
        adopt: bool,
        tick: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let metrics = Arc::new(Metrics::new(&self.plan));
        let control = {
            let mut current = self.current();
            current.1 = metrics.clone();
            current.0.clone()
        };
        let (says, reader) = crate::log::channel();
        says.belongs_to(&self.plan);
        let housekeeping = Housekeeping { log: &reader, tick };
        let server = self.start_server(&metrics, &control, &says).map_err(|error| self.to_py(py, error))?;
        let shared = |topics: &Topics| Shared {
            plan: self.plan.clone(),
            metrics,
            log: says.clone(),
            control,
            routes: topics.routes(&self.plan),
            until_end: until_end.then_some(drain),
            adopt,
        };
        let outcome = self.run_on_kafka(py, shared, &housekeeping, &says);
        self.web().url = None;
        py.detach(|| drop(server));
        self.current().0 = Control::default();
        let said = log::hand_over(py, &reader);
        outcome.and(said)
    }

    fn stop(&self) {
        self.current().0.stop();
    }

    fn abort(&self) {
        self.current().0.abort();
    }

    fn web_url(&self) -> Option<String> {
        self.web().url.clone()
    }

    fn serve(&self, py: Python<'_>, web: &str) -> PyResult<()> {
        let wanted = serde_json::from_str(web)
            .map_err(|error| to_py(py, crate::error::Error::config(format!("web is malformed: {error}"))))?;
        self.web().wanted = Some(wanted);
        Ok(())
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let current = self.current().1.clone();
        metrics::to_dict(py, &current)
    }

    fn test(&self, py: Python<'_>, topics: Vec<Fed>, drain: bool) -> PyResult<Output> {
        let metrics = Arc::new(Metrics::new(&self.plan));
        self.current().1 = metrics.clone();
        let (says, reader) = crate::log::channel();
        says.belongs_to(&self.plan);
        let outcome = self.with_hooks(py, || {
            let models = self.open(py)?;
            run_test(&self.plan, &models, &metrics, &says, topics, drain).map_err(|error| to_py(py, error))
        });
        let said = log::hand_over(py, &reader);
        outcome.and_then(|output| said.map(|()| output))
    }

    fn backtest(
        &self,
        py: Python<'_>,
        frames: Vec<(String, Bound<'_, PyAny>)>,
        wanted: Wanted,
        tick: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Tables> {
        let metrics = Arc::new(Metrics::new(&self.plan));
        let control = Control::default();
        *self.current() = (control.clone(), metrics.clone());
        let tables = backtest::read(py, &self.plan, frames)?;
        let (says, reader) = crate::log::channel();
        let outcome = self.with_hooks(py, || {
            let models = self.open(py)?;
            let run = (&*self.plan, &metrics, &says, &control);
            backtest::replay(py, run, models, tables, wanted, |progress| {
                log::hand_over(py, &reader)?;
                py.check_signals()?;
                tick.map_or(Ok(()), |tick| tick.call1(progress).map(drop))
            })
        });
        self.current().0 = Control::default();
        let said = log::hand_over(py, &reader);
        outcome.and_then(|tables| said.map(|()| tables))
    }
}
