//! `check`, `reset` and `lag` for the command line: questions to a cluster, and the one answer that changes something.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::error::to_py;
use super::log::hand_over;
use super::wait::beside;
use crate::config::Plan;
use crate::error::Result;
use crate::kafka::{self, Move, Target};
use crate::log::Log;

/// Level, check, subject, text.
type Found = (&'static str, &'static str, String, String);
/// Topic, partition, where the group stands, where it will, oldest offset, high watermark.
type Moved = (String, i32, Option<i64>, i64, i64, i64);

/// Runs `body` with a log, lines of which go to `logging`.
pub(super) fn ask<T: Send + 'static>(
    py: Python<'_>,
    name: &str,
    body: impl FnOnce(&Log) -> T + Send + 'static,
) -> PyResult<T> {
    let (says, reader) = crate::log::channel();
    let asked = beside(
        py,
        name,
        move || body(&says),
        || {
            hand_over(py, &reader)?;
            py.check_signals()?;
            Ok(true)
        },
    );
    hand_over(py, &reader)?;
    asked?.ok_or_else(|| PyValueError::new_err("nobody answered"))
}

pub(super) fn checked(plan: &str) -> Result<Plan> {
    let plan = Plan::from_json(plan)?;
    kafka::check_settings(&plan)?;
    Ok(plan)
}

/// All checks of an app, in order.
#[pyfunction]
pub(super) fn check(py: Python<'_>, plan: String) -> PyResult<Vec<Found>> {
    let findings = ask(py, "millstream-check", move |log| kafka::check(&plan, log))?;
    let found = findings.into_list().into_iter();
    Ok(found.map(|finding| (finding.level.name(), finding.check, finding.subject, finding.text)).collect())
}

fn target(kind: &str, value: i64) -> PyResult<Target> {
    Ok(match kind {
        "earliest" => Target::Earliest,
        "latest" => Target::Latest,
        "offset" => Target::Offset(value),
        "time" => Target::Time(value),
        _ => return Err(PyValueError::new_err(format!("{kind:?} is no target"))),
    })
}

/// What a reset would do.
#[pyfunction]
pub(super) fn reset_moves(
    py: Python<'_>,
    plan: &str,
    kind: &str,
    value: i64,
    topic: Option<String>,
    partition: Option<i32>,
) -> PyResult<Vec<Moved>> {
    let target = target(kind, value)?;
    let plan = checked(plan).map_err(|error| to_py(py, error))?;
    let asked = move |log: &Log| kafka::moves(&plan, log, target, topic.as_deref(), partition);
    let moves = ask(py, "millstream-reset", asked)?.map_err(|error| to_py(py, error))?;
    let as_tuple =
        |moved: Move| (moved.topic, moved.partition, moved.from, moved.to, moved.bounds.0, moved.bounds.1);
    Ok(moves.into_iter().map(as_tuple).collect())
}

/// Does what `reset_moves` has said.
#[pyfunction]
pub(super) fn reset(py: Python<'_>, plan: &str, kind: &str, moves: Vec<Moved>) -> PyResult<()> {
    let target = target(kind, 0)?;
    let plan = checked(plan).map_err(|error| to_py(py, error))?;
    let as_move = |(topic, partition, from, to, low, high): Moved| Move {
        topic,
        partition,
        from,
        to,
        bounds: (low, high),
    };
    let moves: Vec<Move> = moves.into_iter().map(as_move).collect();
    ask(py, "millstream-reset", move |log| kafka::reset(&plan, log, target, &moves))?
        .map_err(|error| to_py(py, error))
}

/// Topic, partition, oldest offset, high watermark, committed offset, replay start, clock.
type Behind = (String, i32, i64, i64, Option<i64>, Option<i64>, Option<i64>);

/// How far the group is behind.
#[pyfunction]
pub(super) fn lag(py: Python<'_>, plan: &str) -> PyResult<Vec<Behind>> {
    let plan = checked(plan).map_err(|error| to_py(py, error))?;
    let asked = ask(py, "millstream-lag", move |log| kafka::lag(&plan, log))?;
    let as_tuple = |lag: kafka::Lag| {
        let (low, high) = lag.bounds;
        (lag.topic, lag.partition, low, high, lag.committed, lag.replay_from, lag.clock)
    };
    Ok(asked.map_err(|error| to_py(py, error))?.into_iter().map(as_tuple).collect())
}
