//! Promises of the limits of state: exact where they are a function of the log, the same in a restore, warned of before,
//! and never kept by dropping anything. And what state costs in memory, and that it is given back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Settings;
use millstream::config::Plan;
use millstream::error::{Error, Result};
use millstream::lane::{Lane, Routes, Standing, StartPoint};
use millstream::log::{self, LogReader};
use millstream::metadata::Metadata;
use millstream::metrics::{Metrics, PartitionGauges};
use millstream::predict::Size;
use millstream::record::{RawRecord, TopicPartition};
use millstream::sink::MemoryLog;
use millstream::source::Assigned;
use millstream::time::Now;
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Expected, Floor, Model, Spec, expect};

const NOW: Now = Now { mono: 0, wall: 0 };

fn with_limits(models: &[Model], settings: &Settings, set: impl FnOnce(&mut Plan)) -> Arc<Plan> {
    let mut plan = (*engine::plan(models, settings)).clone();
    set(&mut plan);
    Arc::new(plan)
}

fn case(seed: u64) -> (Vec<Model>, Vec<Event>) {
    let models = random_models(seed);
    let mut events = random_log(seed, &Shape::of(&models, 120, 60_000));
    for (offset, event) in events.iter_mut().enumerate() {
        event.offset = offset as i64;
    }
    (models, events)
}

/// Runs what the log holds beyond the committed offset to its end.
fn run(plan: &Arc<Plan>, log: &MemoryLog, settings: &Settings) -> Result<()> {
    let metrics = Arc::new(Metrics::new(plan));
    let mut app = engine::start(plan, &metrics, log, settings, Rng::new(0), false);
    app.run_until(false);
    while !app.ingest()? {
        app.predict()?;
        app.commit()?;
        app.advance(1);
    }
    Ok(())
}

fn fed(plan: &Plan, models: &[Model], events: &[Event]) -> MemoryLog {
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    engine::commit_floors(plan, models, &log);
    for event in events {
        engine::append(&log, event);
    }
    log
}

fn is_limit(outcome: Result<()>, parts: &[&str]) -> String {
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::StateLimit(_)), "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    text
}

/// Events that open windows need, by key, as the oracle sees them at the end of a log.
fn open_events(expected: &Expected) -> BTreeMap<&[u8], usize> {
    let mut events: BTreeMap<&[u8], BTreeSet<i64>> = BTreeMap::new();
    for window in &expected.open {
        let offsets = window.events.iter().map(|(_, offset)| *offset);
        events.entry(&window.key).or_default().extend(offsets);
    }
    events.into_iter().map(|(key, events)| (key, events.len())).collect()
}

#[test]
fn a_key_fails_the_run_exactly_when_open_windows_need_more_of_its_events_than_its_limit() {
    for seed in 0..50 {
        let (models, events) = case(seed);
        let peak = (1..=events.len())
            .map(|n| expect(&events[..n], &models, &[], None))
            .map(|expected| open_events(&expected).into_values().max().unwrap_or(0));
        let peak = peak.max().unwrap();
        for poll in [1, 7, 1_000] {
            let settings = Settings { poll, ..Settings::default() };
            let plan = with_limits(&models, &settings, |plan| plan.max_events_per_key = Some(peak));
            run(&plan, &fed(&plan, &models, &events), &settings).unwrap();
            let plan = with_limits(&models, &settings, |plan| plan.max_events_per_key = Some(peak - 1));
            let outcome = run(&plan, &fed(&plan, &models, &events), &settings);
            let limit = format!("max_events_per_key={} is exceeded: {peak} events", peak - 1);
            is_limit(outcome, &[&limit, "readings [0]", "key \"", "Raise it"]);
        }
    }
}

#[test]
fn the_run_fails_exactly_when_more_keys_have_events_in_open_windows_than_the_limit() {
    for seed in 0..50 {
        let (models, events) = case(seed);
        let peak = (1..=events.len()).map(|n| open_events(&expect(&events[..n], &models, &[], None)).len());
        let peak = peak.max().unwrap();
        let settings = Settings { poll: 1, ..Settings::default() };
        let plan = with_limits(&models, &settings, |plan| plan.max_keys = Some(peak));
        run(&plan, &fed(&plan, &models, &events), &settings).unwrap();
        if peak > 1 {
            let plan = with_limits(&models, &settings, |plan| plan.max_keys = Some(peak - 1));
            let limit = format!("max_keys={} is exceeded: {peak} keys", peak - 1);
            is_limit(run(&plan, &fed(&plan, &models, &events), &settings), &[&limit, "readings [0]"]);
        }
    }
}

#[test]
fn a_restart_within_a_higher_limit_goes_on_and_nothing_has_been_dropped() {
    let mut restored_beyond = 0;
    for seed in 0..200 {
        let (models, events) = case(seed);
        let settings = Settings { poll: 5, ..Settings::default() };
        let free = engine::plan(&models, &settings);
        let log = fed(&free, &models, &events[..60]);
        run(&free, &log, &settings).unwrap();
        for event in &events[60..] {
            engine::append(&log, event);
        }
        // As soon as its state is read back, or later, or never.
        let tight = with_limits(&models, &settings, |plan| {
            (plan.max_events_per_key, plan.max_keys) = (Some(3), Some(1));
        });
        if let Err(error) = run(&tight, &log, &settings) {
            assert!(matches!(error, Error::StateLimit(_)), "{error:?}");
            restored_beyond += usize::from(error.to_string().contains("which is being read back"));
        }
        run(&free, &log, &settings).unwrap();
        engine::check(&log, &models, &expect(&events, &models, &[], None));
    }
    assert!(restored_beyond > 20, "only {restored_beyond} restores met a limit: the test has no teeth");
}

/// A lane of one partition, with windows of `size` every `hop`.
struct Bench {
    lane: Lane,
    metrics: Arc<Metrics>,
    says: LogReader,
    offset: i64,
}

impl Bench {
    fn new(size: i64, hop: i64, set: impl FnOnce(&mut Plan)) -> Self {
        let spec = Spec { size, hop, offset: 0, grace: 0, min_events: 1 };
        let models = [Model { spec, floor: Floor::None }];
        let settings = Settings { max_batch: 4096, ..Settings::default() };
        let plan = with_limits(&models, &settings, |plan| {
            // The figures are those of numbers alone.
            plan.sources[0].context.clear();
            plan.models[0].context.clear();
            set(plan);
        });
        let metrics = Arc::new(Metrics::new(&plan));
        Self::sharing(&plan, &metrics, 0)
    }

    fn sharing(plan: &Arc<Plan>, metrics: &Arc<Metrics>, partition: i32) -> Self {
        let (log, says) = log::channel();
        let mut lane = Lane::new(plan.clone(), metrics.clone(), Routes::keep_all(plan), log);
        let start = StartPoint::of(plan, &assigned(partition, None), false, NOW).unwrap();
        lane.begin(0, &start, start.restoring(plan, metrics), 0, NOW).unwrap();
        Self { lane, metrics: metrics.clone(), says, offset: 0 }
    }

    fn take(&mut self, key: &str, time: i64) {
        let value = format!("{{\"seq\":0.5,\"ts\":{time}}}");
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let record = RawRecord { offset: self.offset, key, value, timestamp: None };
        self.lane.ingest(0, &record, NOW).unwrap();
        self.offset += 1;
    }

    fn watch(&mut self, mono: i64) -> Result<()> {
        self.lane.watch_state(Now { mono, wall: 0 })
    }

    /// Everything that has closed is called and cut.
    fn settle(&mut self) -> PartitionGauges {
        while self.lane.batch(0, 0, Size { windows: 256, events: usize::MAX }).is_some() {}
        let standing = Standing { end: Some(self.offset), caught_up: true };
        self.lane.cut(0, standing, true, NOW);
        self.lane.publish();
        self.metrics.sources[0].partitions().into_values().next().unwrap()
    }

    fn warnings(&self) -> Vec<String> {
        self.says.drain().into_iter().map(|line| line.text).collect()
    }
}

fn assigned(partition: i32, committed: Option<(i64, String)>) -> Assigned {
    let partition = TopicPartition { partition, ..engine::partition() };
    Assigned { partition, committed, bounds: (0, 1 << 40), partitions: 2, topic_id: None, earlier: None }
}

#[test]
fn from_80_percent_on_each_limit_is_warned_of_once_a_minute() {
    let mut bench = Bench::new(1_000, 1_000, |plan| {
        (plan.max_keys, plan.max_events_per_key) = (Some(10), Some(5));
    });
    for key in 0..7 {
        bench.take(&format!("k{key}"), 0);
    }
    bench.watch(0).unwrap();
    assert_eq!((bench.warnings(), bench.metrics.limit_warnings.get()), (vec![], 0), "70 % is no matter");
    bench.take("k7", 0);
    (0..3).for_each(|_| bench.take("k0", 0));
    bench.watch(1).unwrap();
    let said = bench.warnings();
    assert_eq!(said.len(), 2, "{said:?}");
    for (text, parts) in said.iter().zip([
        ["8 keys", "80 % of max_keys=10", "readings [0]"],
        ["4 events", "80 % of max_events_per_key=5", "key \"k0\" in readings [0]"],
    ]) {
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    bench.take("k8", 0);
    bench.watch(60_000).unwrap();
    assert_eq!(bench.warnings(), Vec::<String>::new(), "less than a minute after the last one");
    bench.watch(60_001).unwrap();
    assert_eq!(bench.warnings().len(), 1, "of the keys; no key has grown");
    assert_eq!(bench.metrics.limit_warnings.get(), 3);
}

#[test]
fn bytes_beyond_the_limit_name_the_partition_and_its_largest_key() {
    let mut bench = Bench::new(1_000, 1_000, |plan| plan.max_state_bytes = Some(64 << 10));
    (0..1_000).for_each(|_| bench.take("small", 0));
    bench.watch(0).unwrap();
    (0..3_000).for_each(|_| bench.take("large", 0));
    let parts =
        ["max_state_bytes=64KiB is exceeded", "readings [0]: 2 keys, 4000 events, 3000 of key \"large\""];
    is_limit(bench.watch(0), &parts);
    let gauges = bench.metrics.sources[0].partitions()[&0];
    assert!(
        gauges.state_bytes > 64 << 10 && gauges.keys == 2,
        "the metrics show what ended the run: {gauges:?}"
    );
}

#[test]
fn the_partitions_of_all_lanes_are_counted_together_until_they_are_given_up() {
    let models = [Model {
        spec: Spec { size: 1_000, hop: 1_000, offset: 0, grace: 0, min_events: 1 },
        floor: Floor::None,
    }];
    let plan = with_limits(&models, &Settings::default(), |plan| plan.max_keys = Some(10));
    let metrics = Arc::new(Metrics::new(&plan));
    let (mut one, mut other) = (Bench::sharing(&plan, &metrics, 0), Bench::sharing(&plan, &metrics, 1));
    for key in 0..6 {
        one.take(&format!("k{key}"), 0);
        other.take(&format!("k{key}"), 0);
    }
    one.watch(0).unwrap();
    is_limit(other.watch(0), &["12 keys", "6 of them in readings [1]"]);
    one.lane.end(0);
    other.watch(0).unwrap();
}

#[test]
fn state_read_back_counts_while_it_is_read_and_no_more_once_it_is_let_go() {
    let models = [Model {
        spec: Spec { size: 1_000, hop: 1_000, offset: 0, grace: 0, min_events: 1 },
        floor: Floor::None,
    }];
    let plan = with_limits(&models, &Settings::default(), |plan| plan.max_keys = Some(3_000));
    let metrics = Arc::new(Metrics::new(&plan));
    let mut metadata = Metadata::of(&plan, 0, None, 2);
    metadata.clock = Some(1);
    let start = StartPoint::of(&plan, &assigned(1, Some((5_000, metadata.encode()))), false, NOW).unwrap();
    let mut restoring = start.restoring(&plan, &metrics);
    let mut outcomes = (0..5_000).map(|offset| {
        let key = offset.to_string();
        let value = Some(&b"{\"seq\":1,\"ts\":1}"[..]);
        restoring.replay(&RawRecord { offset, key: Some(key.as_bytes()), value, timestamp: None })
    });
    let first = outcomes.find(Result::is_err).unwrap();
    is_limit(first, &["max_keys=3000", "readings [1], which is being read back"]);
    let mut live = Bench::sharing(&plan, &metrics, 0);
    live.take("k", 0);
    is_limit(live.watch(0), &["max_keys=3000"]);
    drop(restoring);
    live.watch(0).unwrap();
}

#[test]
fn a_live_event_of_one_field_takes_at_most_32_bytes_and_a_live_key_200() {
    for (keys, per_second, seconds) in [(100, 10, 10), (20, 10, 60), (50, 31, 10), (30, 47, 10)] {
        let mut bench = Bench::new(seconds * 1_000, 1_000, |_| {});
        for tick in 0..4 * seconds * per_second {
            for key in 0..keys {
                bench.take(
                    &format!("sensor-{key:05}"),
                    tick * 1_000 / per_second + key % (1_000 / per_second),
                );
            }
            let held = bench.settle();
            if tick > 2 * seconds * per_second {
                let goal = held.events * 32 + held.keys * 200 + 32 * 1024;
                assert!(
                    held.state_bytes <= goal,
                    "{held:?} at {per_second} per second, windows of {seconds} s"
                );
            }
        }
    }
    let mut bench = Bench::new(1_000, 1_000, |_| {});
    for key in 0..100_000 {
        bench.take(&format!("sensor-{key:05}"), 0);
    }
    let held = bench.settle();
    // A key has room for three events from its first one on.
    assert!(held.state_bytes <= held.keys * (200 + 3 * 20), "{held:?}");
}

#[test]
fn memory_is_given_back_after_a_burst_of_keys_even_if_its_last_keys_stay() {
    let mut bench = Bench::new(1_000, 1_000, |_| {});
    for round in 0..3 {
        let begin = round * 10_000;
        for key in 0..20_000 {
            bench.take(&format!("burst-{key}"), begin);
        }
        let full = bench.settle();
        assert_eq!(full.keys, 20_000);
        for second in 1..6 {
            for key in 19_995..20_000 {
                bench.take(&format!("burst-{key}"), begin + second * 1_000);
            }
            bench.settle();
        }
        let after = bench.settle();
        assert_eq!((after.keys, after.events), (5, 5));
        assert!(after.state_bytes * 500 < full.state_bytes, "{after:?} after {full:?}");
    }
}
