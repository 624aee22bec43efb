//! The registry of counters as a dict.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::decode::Reason;
use crate::metrics::{Counter, Metrics, ModelMetrics, Snapshot, SourceMetrics};

pub(super) fn to_dict<'py>(py: Python<'py>, metrics: &Metrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let sources = PyDict::new(py);
    for source in &metrics.sources {
        sources.set_item(&source.topic, source_dict(py, source)?)?;
    }
    let models = PyDict::new(py);
    for model in &metrics.models {
        models.set_item(&model.name, model_dict(py, model)?)?;
    }
    let total = |of: fn(&SourceMetrics) -> u64| metrics.sources.iter().map(of).sum::<u64>();
    let all = |of: fn(&ModelMetrics) -> u64| metrics.models.iter().map(of).sum::<u64>();
    dict.set_item("consumed", total(|source| source.consumed.get()))?;
    let dead_letters = total(SourceMetrics::dead_letters_total) + all(ModelMetrics::dead_letters_total);
    dict.set_item("dead_letters", dead_letters)?;
    dict.set_item("late_pairs", all(|model| model.late_pairs.get()))?;
    dict.set_item("windows", all(|model| model.windows_produced.get()))?;
    dict.set_item("epochs", metrics.epochs.get())?;
    dict.set_item("transactions", metrics.transactions.get())?;
    dict.set_item("transactions_aborted", metrics.transactions_aborted.get())?;
    dict.set_item("transactions_unknown", metrics.transactions_unknown.get())?;
    quantiles(&dict, "commit_seconds", &metrics.commit_seconds.snapshot())?;
    quantiles(&dict, "end_to_end_seconds", &metrics.end_to_end_seconds.snapshot())?;
    dict.set_item("rebalances", metrics.rebalances.get())?;
    dict.set_item("inflight_bytes", metrics.inflight.get())?;
    let gauges = metrics.sources.iter().flat_map(|source| source.partitions().into_values());
    let (bytes, keys) = gauges.fold((0, 0), |(bytes, keys), g| (bytes + g.state_bytes, keys + g.keys));
    dict.set_item("state_bytes", bytes)?;
    dict.set_item("state_keys", keys)?;
    dict.set_item("limit_warnings", metrics.limit_warnings.get())?;
    dict.set_item("paused", metrics.paused.load(Ordering::Relaxed))?;
    dict.set_item("sources", sources)?;
    dict.set_item("models", models)?;
    Ok(dict)
}

fn source_dict<'py>(py: Python<'py>, source: &SourceMetrics) -> PyResult<Bound<'py, PyDict>> {
    let partitions = PyDict::new(py);
    for (partition, gauges) in source.partitions() {
        let dict = PyDict::new(py);
        dict.set_item("next_offset", gauges.next_offset)?;
        dict.set_item("committed_offset", gauges.committed_offset)?;
        dict.set_item("end_offset", gauges.end_offset)?;
        dict.set_item("lag", gauges.lag())?;
        dict.set_item("clock", gauges.clock)?;
        dict.set_item("events", gauges.events)?;
        dict.set_item("keys", gauges.keys)?;
        dict.set_item("state_bytes", gauges.state_bytes)?;
        partitions.set_item(partition, dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("consumed", source.consumed.get())?;
    dict.set_item("below_expected", source.below_expected.get())?;
    dict.set_item("dead_letters", by_reason(py, &source.dead_letters)?)?;
    dict.set_item("partitions", partitions)?;
    Ok(dict)
}

fn by_reason<'py>(py: Python<'py>, counters: &[Counter]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (reason, count) in Reason::ALL.iter().zip(counters) {
        if count.get() > 0 {
            dict.set_item(reason.code(), count.get())?;
        }
    }
    Ok(dict)
}

fn model_dict<'py>(py: Python<'py>, model: &ModelMetrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("events", model.events.get())?;
    dict.set_item("late_events", model.late_events.get())?;
    dict.set_item("before_start", model.before_start.get())?;
    dict.set_item("late_pairs", model.late_pairs.get())?;
    dict.set_item("windows_closed", model.windows_closed.get())?;
    dict.set_item("windows_skipped", model.windows_skipped.get())?;
    dict.set_item("windows_produced", model.windows_produced.get())?;
    dict.set_item("windows_silent", model.windows_silent.get())?;
    dict.set_item("windows_dropped", model.windows_dropped.get())?;
    if model.of_events {
        dict.set_item("scored", model.scored())?;
    }
    dict.set_item("dead_letters", by_reason(py, &model.dead_letters)?)?;
    dict.set_item("batches", model.batches.get())?;
    dict.set_item("failed_calls", model.failed_calls.get())?;
    dict.set_item("retries", model.retries.get())?;
    dict.set_item("workers_replaced", model.workers_replaced.get())?;
    let predict = model.predict_seconds.snapshot();
    dict.set_item("predict_seconds", predict.sum)?;
    quantiles(&dict, "predict_seconds", &predict)?;
    quantiles(&dict, "batch_windows", &model.batch_windows.snapshot())?;
    dict.set_item("windows_open", model.windows_open.load(Ordering::Relaxed))?;
    dict.set_item("pool_busy", model.pool_busy.load(Ordering::Relaxed))?;
    Ok(dict)
}

/// The p50 and p99 of a histogram, None where nothing has been observed.
fn quantiles(dict: &Bound<'_, PyDict>, name: &str, snapshot: &Snapshot) -> PyResult<()> {
    dict.set_item(format!("{name}_p50"), snapshot.quantile(0.5))?;
    dict.set_item(format!("{name}_p99"), snapshot.quantile(0.99))
}
