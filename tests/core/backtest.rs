//! A backtest against the naive oracle and against itself: the same windows and late pairs whatever the number of
//! shards, with several partitions, late events and rows that are no events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Settings;
use millstream::backtest::{self, Cause, Cells, Disorder, Options, Order, Outcome, Progress, Results};
use millstream::context::ContextValue;
use millstream::control::Control;
use millstream::decode::{ContextColumn, KeyIds, NO_KEY, NO_TIME, Table};
use millstream::lane::Routes;
use millstream::log;
use millstream::metrics::Metrics;
use millstream::predict::Model as Predict;
use millstream::shared::Shared;
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Floor, Model, Spec, Window, expect};
use serde_json::Value;

const MAX_FUTURE: i64 = 60_000;

/// An event and its partition.
type Row = (i32, Event);

/// Rows of several partitions, mixed; each event says its own offset.
fn table(rows: &[Row]) -> Table {
    let (mut table, mut keys) = (Table::default(), KeyIds::default());
    table.contexts = vec![ContextColumn::default()];
    for (partition, event) in rows {
        table.key_ids.push(if event.valid { keys.id(&event.key) } else { NO_KEY });
        table.times.push(event.time);
        table.stamps.push(event.record_time.unwrap_or(NO_TIME));
        table.values.push(event.offset as f64);
        table.contexts[0].push(ContextValue::Int(event.offset));
        table.partitions.push(*partition);
        table.offsets.push(event.offset);
    }
    table.keys = keys.into_keys();
    table
}

fn run(models: &[Model], rows: &[Row], options: Options) -> (Outcome, Arc<Metrics>) {
    let settings = Settings { max_future: Some(MAX_FUTURE), max_batch: 7, ..Settings::default() };
    let plan = Arc::new(backtest::offline(&engine::plan(models, &settings), options.workers));
    let metrics = Arc::new(Metrics::new(&plan));
    let shared = Shared {
        plan: plan.clone(),
        metrics: metrics.clone(),
        log: log::channel().0,
        control: Control::default(),
        routes: Routes::keep_all(&plan),
        adopt: false,
        until_end: None,
    };
    let echo: Vec<Arc<dyn Predict>> = models.iter().map(|_| Arc::new(engine::echo) as _).collect();
    let tables = vec![Some(table(rows))];
    (backtest::run(&shared, &echo, tables, &options, &Progress::default()).unwrap(), metrics)
}

fn windows(model: usize, partition: i32, results: &Results) -> Vec<Window> {
    let events = results.fields.iter().find(|(name, _)| name == "events").map(|(_, cells)| cells);
    let Some(Cells::Json(events)) = events else { return Vec::new() };
    let pair = |pair: &Value| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap());
    let mine = (0..results.rows()).filter(|row| results.partitions[*row] == partition);
    mine.map(|row| Window {
        model,
        key: results.keys[row].to_vec(),
        start: results.starts[row],
        end: results.ends[row],
        events: events[row].as_array().unwrap().iter().map(pair).collect(),
    })
    .collect()
}

/// Models, the logs of partitions, and the rows of all of them, mixed.
fn case(seed: u64) -> (Vec<Model>, Vec<Vec<Event>>, Vec<Row>) {
    let models: Vec<Model> =
        random_models(seed).into_iter().map(|model| Model { floor: Floor::None, ..model }).collect();
    let mut rng = Rng::new(seed ^ 0xbac);
    let logs: Vec<Vec<Event>> = (0..=seed % 3)
        .map(|part| {
            let mut log = random_log(seed * 3 + part, &Shape::of(&models, 90, MAX_FUTURE));
            for (event, offset) in log.iter_mut().zip(0..) {
                event.offset = offset;
            }
            log
        })
        .collect();
    let mut heads: Vec<_> = logs.iter().map(|log| log.iter()).collect();
    let mut rows = Vec::new();
    while heads.iter().any(|head| head.len() > 0) {
        let partition = rng.below(heads.len());
        rows.extend(heads[partition].next().map(|event| (partition as i32, event.clone())));
    }
    (models, logs, rows)
}

#[test]
fn rows_in_order_give_the_windows_and_late_pairs_of_the_log_whatever_the_shards() {
    let mut late_in_all = 0;
    for seed in 0..300 {
        let (models, logs, rows) = case(seed);
        for workers in [1, 2, 3, 5] {
            let drain = seed % 2 == 0;
            let (outcome, metrics) = run(&models, &rows, Options { order: Order::Row, drain, workers });
            let mut consumed = 0;
            for (partition, log) in logs.iter().enumerate() {
                let expected = expect(log, &models, &[], Some(MAX_FUTURE));
                let mut wanted = expected.windows;
                if drain {
                    let open = expected.open.into_iter();
                    wanted.extend(open.filter(|w| w.events.len() >= models[w.model].spec.min_events));
                    wanted.sort_by(|a, b| (a.end, &a.key, a.model).cmp(&(b.end, &b.key, b.model)));
                }
                for (model, results) in outcome.results.iter().enumerate() {
                    let wanted: Vec<_> =
                        wanted.iter().filter(|window| window.model == model).cloned().collect();
                    let found = windows(model, partition as i32, results);
                    assert_eq!(found, wanted, "seed {seed}, {workers} workers, partition {partition}");
                }
                let mine = || outcome.dropped.iter().filter(|d| d.partition == partition as i32);
                let late: Vec<_> = mine().filter(|d| d.cause == Cause::Late).collect();
                let pairs: BTreeSet<_> = late
                    .iter()
                    .flat_map(|d| {
                        let (model, hop) = (d.model.unwrap(), models[d.model.unwrap()].spec.hop);
                        let starts = (0..d.windows).map(move |k| d.start.unwrap() + k * hop);
                        starts.map(move |start| (model, d.offset.unwrap(), start))
                    })
                    .collect();
                assert_eq!(pairs, expected.late_pairs, "seed {seed}, {workers} workers");
                late_in_all += pairs.len();
                let dead = mine().filter(|d| d.cause != Cause::Late).map(|d| d.offset.unwrap());
                assert_eq!(dead.collect::<BTreeSet<_>>(), expected.dead, "seed {seed}");
                consumed += log.len() as u64;
            }
            assert_eq!(metrics.sources[0].consumed.get(), consumed);
            let late: i64 =
                outcome.dropped.iter().filter(|d| d.cause == Cause::Late).map(|d| d.windows).sum();
            let counted: u64 = metrics.models.iter().map(|model| model.late_pairs.get()).sum();
            assert_eq!(late as u64, counted);
            assert_eq!(metrics.inflight.get(), 0, "seed {seed}: bytes in flight after the end");
        }
    }
    assert!(late_in_all > 10_000, "only {late_in_all} late pairs in all runs: the test has no teeth");
}

#[test]
fn rows_by_event_time_have_nothing_late_and_every_event_in_all_its_windows() {
    for seed in 0..100 {
        let (models, _, rows) = case(seed);
        let ordered = |workers| run(&models, &rows, Options { order: Order::Time, drain: true, workers }).0;
        let (one, three) = (ordered(1), ordered(3));
        assert!(one.dropped.iter().all(|dropped| dropped.cause != Cause::Late), "seed {seed}");
        assert_eq!(one.dropped, three.dropped);
        for (model, (results, other)) in one.results.iter().zip(&three.results).enumerate() {
            let spec = &models[model].spec;
            let mut found: BTreeMap<(i32, i64), usize> = BTreeMap::new();
            for partition in 0..3 {
                let windows = windows(model, partition, results);
                assert_eq!(windows, self::windows(model, partition, other), "seed {seed}");
                for window in windows {
                    assert!(window.events.is_sorted(), "seed {seed}: by time and offset");
                    for (_, offset) in window.events {
                        *found.entry((partition, offset)).or_default() += 1;
                    }
                }
            }
            if spec.min_events > 1 {
                continue;
            }
            let dead: BTreeSet<_> = one.dropped.iter().map(|d| (d.partition, d.offset.unwrap())).collect();
            for (partition, event) in &rows {
                if dead.contains(&(*partition, event.offset)) {
                    assert_eq!(found.get(&(*partition, event.offset)), None);
                    continue;
                }
                let last = (event.time - spec.offset).div_euclid(spec.hop) * spec.hop + spec.offset;
                let starts =
                    (0..).map(|k| last - k * spec.hop).take_while(|start| start + spec.size > event.time);
                let count = found.get(&(*partition, event.offset)).copied();
                assert_eq!(count, Some(starts.count()), "seed {seed}, event {event:?}");
            }
        }
    }
}

#[test]
fn disorder_is_the_same_for_the_same_seed_and_late_as_far_as_asked() {
    let spec = Spec { size: 1_000, hop: 1_000, offset: 0, grace: 500, min_events: 1 };
    let models = [Model { spec, floor: Floor::None }];
    let event = |offset: i64| Event {
        offset,
        key: vec![b'a' + (offset % 7) as u8],
        time: offset * 10,
        record_time: None,
        valid: true,
        value: 0.0,
    };
    let rows: Vec<_> = (0..20_000).map(|offset| (0, event(offset))).collect();
    let late = |seed, delay, late, workers| {
        let order = Order::Arrival(Disorder { seed, delay, late, late_by: 60_000 });
        let (outcome, _) = run(&models, &rows, Options { order, drain: true, workers });
        outcome.dropped.iter().map(|dropped| dropped.row.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(late(1, 400, 0.0, 2).len(), 0, "within the grace nothing is late");
    let some = late(1, 400, 0.01, 1);
    assert_eq!(some, late(1, 400, 0.01, 3));
    assert_ne!(some, late(2, 400, 0.01, 1));
    assert!((100..250).contains(&some.len()), "{} of 20,000 are late", some.len());
    assert!(late(1, 5_000, 0.0, 1).len() > 1_000, "a delay beyond the grace makes events late");
}
