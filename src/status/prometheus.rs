//! The registry of counters in Prometheus' text format 0.0.4. Names and labels are fixed: a label is a topic, a
//! partition, a model or a reason, and never a key.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock;
use crate::config::Plan;
use crate::decode::Reason;
use crate::metrics::{Counter, Metrics, ModelMetrics, PartitionGauges, Snapshot, SourceMetrics};

/// The metrics of a run.
pub(super) fn text(plan: &Plan, metrics: &Metrics, stopping: bool) -> String {
    let mut text = Text::default();
    text.one(
        "gauge",
        "build_info",
        "The version of millstream; always 1.",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    let ready = !stopping && metrics.lanes_ready.get() >= plan.lanes as u64;
    text.one(
        "gauge",
        "ready",
        "Whether the partitions are assigned and have been caught up with once.",
        &[],
        u8::from(ready),
    );
    sources(&mut text, metrics);
    partitions(&mut text, metrics);
    models(&mut text, plan, metrics);
    process(&mut text, plan, metrics);
    text.0
}

fn sources(text: &mut Text, metrics: &Metrics) {
    let mut counter = |name, help, of: fn(&SourceMetrics) -> &Counter| {
        text.family("counter", name, help);
        for source in &metrics.sources {
            text.sample(name, &[("topic", &source.topic)], of(source).get());
        }
    };
    counter("events_consumed_total", "Records taken from a source topic.", |source| &source.consumed);
    counter(
        "events_below_expected_total",
        "Records below the next expected offset, dropped since they had been taken before.",
        |source| &source.below_expected,
    );
    let name = "events_invalid_total";
    text.family("counter", name, "Records that could not be used, by the reason that their dead letter has.");
    for source in &metrics.sources {
        for (reason, count) in
            Reason::ALL.iter().zip(&source.dead_letters).filter(|(reason, _)| !of_window(**reason))
        {
            text.sample(name, &[("topic", &source.topic), ("reason", reason.code())], count.get());
        }
    }
}

/// Whether a reason is one of windows, not of records.
fn of_window(reason: Reason) -> bool {
    matches!(reason, Reason::ModelError | Reason::ResultTooLarge)
}

fn partitions(text: &mut Text, metrics: &Metrics) {
    let now = clock::wall();
    let mut gauge = |name, help, of: &dyn Fn(&PartitionGauges) -> Option<f64>| {
        text.family("gauge", name, help);
        for source in &metrics.sources {
            for (partition, gauges) in source.partitions() {
                if let Some(value) = of(&gauges) {
                    text.sample(
                        name,
                        &[("topic", &source.topic), ("partition", &partition.to_string())],
                        value,
                    );
                }
            }
        }
    };
    gauge("consumer_lag_records", "Records of a partition that are not processed yet.", &|gauges| {
        gauges.lag().map(|lag| lag as f64)
    });
    gauge(
        "clock_delay_seconds",
        "How far the clock of a partition, its highest event time, is behind the wall clock.",
        &|gauges| gauges.clock.map(|clock| (now - clock) as f64 / 1e3),
    );
    gauge("state_bytes", "Memory of the state of a partition.", &|gauges| Some(gauges.state_bytes as f64));
    gauge("state_events", "Events of a partition in memory.", &|gauges| Some(gauges.events as f64));
    gauge("state_keys", "Keys of a partition with an event in an open window.", &|gauges| {
        Some(gauges.keys as f64)
    });
    let name = "partitions_restoring";
    text.family("gauge", name, "Partitions whose state is being read back.");
    for source in &metrics.sources {
        text.sample(name, &[("topic", &source.topic)], source.restoring().len());
    }
}

fn models(text: &mut Text, plan: &Plan, metrics: &Metrics) {
    let models = &metrics.models;
    let mut counter = |name, help, of: fn(&ModelMetrics) -> &Counter| {
        text.family("counter", name, help);
        for model in models {
            text.sample(name, &[("model", &model.name)], of(model).get());
        }
    };
    counter("events_windowed_total", "Events that are in a window at least.", |model| &model.events);
    counter("events_late_total", "Events that came too late for all their windows.", |model| {
        &model.late_events
    });
    counter(
        "events_before_start_total",
        "Events that are only in windows before the first one of the model.",
        |model| &model.before_start,
    );
    counter("late_pairs_total", "Pairs of an event and a window that it came too late for.", |model| {
        &model.late_pairs
    });
    counter("windows_closed_total", "Windows closed that held an event.", |model| &model.windows_closed);
    counter("windows_skipped_total", "Windows closed with fewer than min_events.", |model| {
        &model.windows_skipped
    });
    counter("windows_produced_total", "Windows whose results are committed.", |model| {
        &model.windows_produced
    });
    counter("windows_silent_total", "Windows for which the model returned None.", |model| {
        &model.windows_silent
    });
    counter("windows_dropped_total", "Windows that the model failed on, dropped.", |model| {
        &model.windows_dropped
    });
    counter("predict_errors_total", "Calls of predict that failed.", |model| &model.failed_calls);
    counter("predict_retries_total", "Calls of predict that were made again.", |model| &model.retries);
    counter("workers_replaced_total", "Processes of the model that ended and have a successor.", |model| {
        &model.workers_replaced
    });
    let name = "events_scored_total";
    text.family(
        "counter",
        name,
        "Events that a model of single events has answered, with None too, committed.",
    );
    for model in models.iter().filter(|model| model.of_events) {
        text.sample(name, &[("model", &model.name)], model.scored());
    }
    let name = "windows_dead_lettered_total";
    text.family("counter", name, "Windows in the dead-letter topic.");
    for model in models {
        for (reason, count) in
            Reason::ALL.iter().zip(&model.dead_letters).filter(|(reason, _)| of_window(**reason))
        {
            text.sample(name, &[("model", &model.name), ("reason", reason.code())], count.get());
        }
    }
    let mut gauge = |name, help, of: fn(&ModelMetrics) -> &AtomicUsize| {
        text.family("gauge", name, help);
        for model in models {
            text.sample(name, &[("model", &model.name)], of(model).load(Ordering::Relaxed));
        }
    };
    gauge("windows_open", "Windows that hold an event and are not closed, as last counted.", |model| {
        &model.windows_open
    });
    gauge("windows_waiting", "Closed windows that wait for a batch.", |model| &model.windows_waiting);
    gauge("windows_queued", "Windows in batches that wait for a worker.", |model| &model.windows_queued);
    gauge("pool_busy_workers", "Workers that are in predict.", |model| &model.pool_busy);
    text.family("gauge", "pool_workers", "Workers of the model.");
    for config in &plan.models {
        text.sample("pool_workers", &[("model", &config.name)], config.workers);
    }
    text.family("histogram", "predict_duration_seconds", "What calls of predict took.");
    for model in models {
        text.histogram(
            "predict_duration_seconds",
            &[("model", &model.name)],
            &model.predict_seconds.snapshot(),
        );
    }
    text.family("histogram", "batch_windows", "Windows in a call of predict.");
    for model in models {
        text.histogram("batch_windows", &[("model", &model.name)], &model.batch_windows.snapshot());
    }
}

fn process(text: &mut Text, plan: &Plan, metrics: &Metrics) {
    let mut counter = |name, help, counter: &Counter| text.one("counter", name, help, &[], counter.get());
    counter("epochs_committed_total", "Epochs of partitions that are committed.", &metrics.epochs);
    counter("transactions_committed_total", "Commits of results and offsets.", &metrics.transactions);
    counter(
        "transactions_aborted_total",
        "Transactions that were aborted and tried again.",
        &metrics.transactions_aborted,
    );
    counter(
        "transactions_unknown_total",
        "Transactions whose outcome nobody could tell: offsets and state were read again.",
        &metrics.transactions_unknown,
    );
    counter("rebalances_total", "Assignments and revocations of partitions.", &metrics.rebalances);
    counter("restores_total", "Partitions whose state was read back.", &metrics.restores);
    counter("limit_warnings_total", "Warnings that state is near a limit.", &metrics.limit_warnings);
    let paused = u8::from(metrics.paused.load(Ordering::Relaxed));
    text.one("gauge", "paused", "Whether reading is paused by the in-flight limit.", &[], paused);
    let help = "Bytes between the close of a window and the commit of its result.";
    text.one("gauge", "inflight_bytes", help, &[], metrics.inflight.get());
    text.one("gauge", "inflight_limit_bytes", "max_inflight_bytes.", &[], plan.max_inflight_bytes);
    text.family("histogram", "commit_duration_seconds", "What commits took.");
    text.histogram("commit_duration_seconds", &[], &metrics.commit_seconds.snapshot());
    text.family(
        "histogram",
        "end_to_end_latency_seconds",
        "From the end of a window to the commit of its result, by the wall clock.",
    );
    text.histogram("end_to_end_latency_seconds", &[], &metrics.end_to_end_seconds.snapshot());
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, kind: &str, name: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "millstream_{name}");
        for (place, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if place == 0 { '{' } else { ',' }, Escaped(value));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    fn one(&mut self, kind: &str, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(kind, name, help);
        self.sample(name, labels, value);
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], snapshot: &Snapshot) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        let bounds = snapshot.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&snapshot.counts) {
            below += count;
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), below);
        }
        self.sample(&format!("{name}_sum"), labels, snapshot.sum);
        self.sample(&format!("{name}_count"), labels, below);
    }
}

/// The value of a label.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("model", "a\"b\\c\nd")], 1);
        assert_eq!(text.0, "millstream_x{model=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn buckets_add_up() {
        let mut text = Text::default();
        let snapshot = Snapshot { bounds: vec![0.5, 1.0], counts: vec![1, 0, 2], sum: 9.25, max: 5.0 };
        text.histogram("x", &[("model", "m")], &snapshot);
        let lines = [
            "millstream_x_bucket{model=\"m\",le=\"0.5\"} 1",
            "millstream_x_bucket{model=\"m\",le=\"1\"} 1",
            "millstream_x_bucket{model=\"m\",le=\"+Inf\"} 3",
            "millstream_x_sum{model=\"m\"} 9.25",
            "millstream_x_count{model=\"m\"} 3\n",
        ];
        assert_eq!(text.0, lines.join("\n"));
    }
}
