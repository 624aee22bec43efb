//! The dead-letter topic for the command line: what is in it, and what is written in answer.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::check::{ask, checked};
use super::client::{PyRecord, as_tuple};
use super::error::to_py;
use super::log::hand_over;
use super::offline::Bytes;
use super::process::caller;
use crate::clock;
use crate::config::Plan;
use crate::error::Result;
use crate::kafka::Topics;
use crate::kafka::dead_letters::{self, Answers, Pile};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::retry::{Answer, Outcome, Setting, Written, call_again};

/// Topic, partition, key, value, timestamp, headers.
type GivenAnswer = (String, Option<i32>, Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(String, Vec<u8>)>);
type PyAnswer = (String, Option<i32>, Option<Bytes>, Option<Bytes>, i64, Vec<(String, Bytes)>);
/// What it is, the record, the error, the traceback.
type PyOutcome = (&'static str, Option<PyAnswer>, Option<String>, Option<String>);

/// The dead-letter topic of an app, as it was when it was opened.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct DeadLetterTopic {
    plan: Arc<Plan>,
    pile: Arc<Mutex<Pile>>,
    bounds: Vec<(i64, i64)>,
    answers: Option<Arc<Answers>>,
    /// Where there is something to be written.
    topics: Option<Topics>,
}

struct Opened {
    pile: Pile,
    answers: Option<Answers>,
    topics: Option<Topics>,
}

fn open(plan: &Plan, log: &Log, purpose: Option<&str>, write: bool) -> Result<Option<Opened>> {
    let Some(pile) = Pile::open(plan, log)? else { return Ok(None) };
    let topics = if write { Some(dead_letters::topics(plan, log)?) } else { None };
    let largest = topics.as_ref().map_or(0, |topics| topics.largest_message);
    let answers = purpose.map(|purpose| Answers::open(plan, log, purpose, write, largest)).transpose()?;
    Ok(Some(Opened { pile, answers, topics }))
}

#[pymethods]
impl DeadLetterTopic {
    #[staticmethod]
    fn open(py: Python<'_>, plan: &str, purpose: Option<String>, write: bool) -> PyResult<Option<Self>> {
        let plan = Arc::new(checked(plan).map_err(|error| to_py(py, error))?);
        let of_thread = plan.clone();
        let asked = ask(py, "millstream-dlq", move |log| open(&of_thread, log, purpose.as_deref(), write))?;
        let opened = asked.map_err(|error| to_py(py, error))?;
        Ok(opened.map(|Opened { pile, answers, topics }| Self {
            plan,
            bounds: pile.bounds().to_vec(),
            pile: Arc::new(Mutex::new(pile)),
            answers: answers.map(Arc::new),
            topics,
        }))
    }

    #[getter]
    fn bounds(&self) -> Vec<(i64, i64)> {
        self.bounds.clone()
    }

    #[getter]
    fn positions(&self) -> Vec<Option<(i64, String)>> {
        self.answers.as_ref().map_or_else(Vec::new, |answers| answers.positions().to_vec())
    }

    #[getter]
    fn transactional(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.transactional())
    }

    fn begin(&self, py: Python<'_>, offsets: Vec<i64>) -> PyResult<()> {
        let pile = self.pile.clone();
        let begin = move |_: &Log| pile.lock().unwrap_or_else(PoisonError::into_inner).begin(&offsets);
        ask(py, "millstream-dlq", begin)?.map_err(|error| to_py(py, error))
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Vec<PyRecord<'py>>> {
        let pile = self.pile.clone();
        let read = move |_: &Log| pile.lock().unwrap_or_else(PoisonError::into_inner).read();
        let records = ask(py, "millstream-dlq", read)?.map_err(|error| to_py(py, error))?;
        Ok(records.iter().map(|record| as_tuple(py, record)).collect())
    }

    fn write(
        &self,
        py: Python<'_>,
        answers: Vec<GivenAnswer>,
        positions: Vec<(i32, i64, String)>,
    ) -> PyResult<()> {
        let Some(writer) = self.answers.clone() else {
            return Err(PyValueError::new_err("the dead letters were opened without a purpose"));
        };
        let answers: Vec<Answer> = answers.into_iter().map(given).collect();
        ask(py, "millstream-dlq", move |_| writer.write(&answers, &positions))?
            .map_err(|error| to_py(py, error))
    }

    fn retry(
        &self,
        py: Python<'_>,
        model: usize,
        calls: Vec<Py<PyAny>>,
        letters: Vec<Written>,
    ) -> PyResult<Vec<PyOutcome>> {
        let (Some(topics), Some(config)) = (&self.topics, self.plan.models.get(model)) else {
            return Err(PyValueError::new_err("no such model, or the dead letters were opened for reading"));
        };
        let sink = topics.sinks.iter().find(|sink| sink.name == config.sink);
        let now = clock::wall();
        let oldest = sink.and_then(|sink| sink.retention_ms).map(|kept| now.saturating_sub(kept));
        let routes = topics.routes(&self.plan);
        let predictor = caller(config, calls, &Arc::new(Metrics::new(&self.plan)), model);
        let (says, reader) = crate::log::channel();
        let outcomes = py.detach(move || {
            let mut replay = dead_letters::replay(&self.plan, &says)?;
            let setting = Setting { routes, oldest, replay: &mut replay, log: says };
            call_again(&self.plan, model, predictor, &letters, setting)
        });
        hand_over(py, &reader)?;
        let outcomes = outcomes.map_err(|error| to_py(py, error))?;
        Ok(outcomes.into_iter().map(told).collect())
    }
}

fn given((topic, partition, key, value, timestamp, headers): GivenAnswer) -> Answer {
    Answer { topic, partition, key, value, timestamp, headers }
}

fn told(outcome: Outcome) -> PyOutcome {
    match outcome {
        Outcome::Result(answer) => {
            let headers = answer.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            let (key, value) = (answer.key.map(Bytes::from), answer.value.map(Bytes::from));
            let record = (answer.topic, answer.partition, key, value, answer.timestamp, headers);
            ("result", Some(record), None, None)
        }
        Outcome::Silent => ("silent", None, None, None),
        Outcome::Failed { error, traceback } => ("failed", None, Some(error), traceback),
    }
}
