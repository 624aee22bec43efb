//! A model that fails on some windows, through random schedules, crashes and faults of the sink: their siblings come
//! out once and in order, they themselves are dead letters once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::Settings;
use millstream::batch::{Batch, WindowMeta};
use millstream::error::{Error, Result};
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::predict::{Model as Predict, Outputs};
use millstream::sink::MemoryLog;
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Expected, Floor, Model, Spec, Window, expect};

const MAX_FUTURE: i64 = 60_000;

/// Whether a model that fails on one window in `one_in` fails on this one: a function of the window alone.
fn poison(key: &[u8], start: i64, one_in: u64) -> bool {
    let hash = key.iter().fold(start as u64 ^ 0x9e37_79b9, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash >> 7).is_multiple_of(one_in)
}

fn boom(window: &WindowMeta) -> Error {
    Error::ModelRaised {
        model: "m".into(),
        summary: format!("ValueError: {}", window.start),
        traceback: "Traceback".into(),
        fatal: false,
        window: None,
        cause: "boom".into(),
    }
}

/// A model that takes the arrays, and raises where a poison window is among those it gets.
fn failing(one_in: u64) -> Arc<dyn Predict> {
    Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
        match batch.windows.iter().find(|window| poison(&window.key, window.start, one_in)) {
            Some(window) => Err(boom(window)),
            None => engine::echo(batch),
        }
    })
}

/// Runs a log by a random schedule with `crashes` crashes, to the end.
fn run(
    seed: u64,
    models: &[Model],
    events: &[Event],
    settings: &Settings,
    crashes: usize,
    model: &Arc<dyn Predict>,
) -> (MemoryLog, Arc<Metrics>) {
    let mut rng = Rng::new(seed ^ 0xfa11);
    let plan = engine::plan(models, settings);
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    engine::commit_floors(&plan, models, &log);
    let metrics = Arc::new(Metrics::new(&plan));
    let start = |rng: &mut Rng| {
        let faults = Rng::new(rng.next());
        engine::start_with(&plan, &metrics, &log, settings, faults, false, model)
    };
    let (mut app, mut fed, mut left) = (start(&mut rng), 0, crashes);
    while fed < events.len() || left > 0 {
        match rng.below(8) {
            0..=2 => {
                for event in events.iter().skip(fed).take(1 + rng.below(20)) {
                    engine::append(&log, event);
                    fed += 1;
                }
            }
            3 | 4 => drop(app.ingest().unwrap()),
            5 => drop(app.predict().unwrap()),
            6 => app.advance([1, 100, 6_000][rng.below(3)]),
            _ => drop(app.commit().unwrap()),
        }
        if left > 0 && rng.below(12) == 0 {
            left -= 1;
            let now = app.now();
            app = start(&mut rng);
            app.advance(now.mono - app.now().mono);
        }
    }
    to_the_end(&mut app);
    (log, metrics)
}

fn to_the_end(app: &mut Offline<engine::Flaky>) {
    app.run_until(false);
    while !app.ingest().unwrap() {
        app.predict().unwrap();
        app.commit().unwrap();
        app.advance(50);
    }
}

fn case(seed: u64, events: usize) -> (Vec<Model>, Vec<Event>) {
    let models = random_models(seed);
    let mut log = random_log(seed, &Shape::of(&models, events, MAX_FUTURE));
    for (offset, event) in log.iter_mut().enumerate() {
        event.offset = offset as i64;
    }
    (models, log)
}

/// Takes the poison windows out of what is expected.
fn without_poison(expected: &mut Expected, one_in: u64) -> Vec<Window> {
    let (dead, good): (Vec<_>, Vec<_>) =
        expected.windows.drain(..).partition(|window| poison(&window.key, window.start, one_in));
    expected.windows = good;
    dead
}

#[test]
fn siblings_come_out_once_and_in_order_and_poison_windows_are_dead_letters_once() {
    let (mut dead_in_all, mut good_in_all) = (0, 0);
    for seed in 0..400_u64 {
        let (models, events) = case(seed, 64 + (seed as usize % 4) * 60);
        let one_in = 2 + seed % 9;
        let settings = Settings {
            max_future: Some(MAX_FUTURE),
            max_batch: [1, 3, 16, 256][seed as usize % 4],
            faults_one_in: [0, 3, 6][seed as usize % 3],
            ..Settings::default()
        };
        let crashes = seed as usize % 5;
        let (log, metrics) = run(seed, &models, &events, &settings, crashes, &failing(one_in));
        let mut expected = expect(&events, &models, &[], Some(MAX_FUTURE));
        let wanted = without_poison(&mut expected, one_in);
        engine::check(&log, &models, &expected);
        let found = engine::dead_windows(&log);
        for model in 0..models.len() {
            let of = |windows: &[Window]| -> Vec<Window> {
                windows.iter().filter(|window| window.model == model).cloned().collect()
            };
            assert_eq!(of(&found), of(&wanted), "seed {seed}, model {model}");
        }
        let told: u64 =
            metrics.models.iter().map(millstream::metrics::ModelMetrics::dead_letters_total).sum();
        if crashes == 0 && settings.faults_one_in == 0 {
            assert_eq!(told as usize, found.len());
            assert_eq!(metrics.inflight.get(), 0);
        }
        dead_in_all += found.len();
        good_in_all += expected.windows.len();
    }
    assert!(dead_in_all > 2_000 && good_in_all > 10_000, "{dead_in_all} and {good_in_all}: no teeth");
}

#[test]
fn skipped_windows_are_counted_and_leave_no_record() {
    for seed in 0..60 {
        let (models, events) = case(seed, 150);
        let settings = Settings { max_future: Some(MAX_FUTURE), on_error: "skip", ..Settings::default() };
        let (log, metrics) = run(seed, &models, &events, &settings, 0, &failing(4));
        let mut expected = expect(&events, &models, &[], Some(MAX_FUTURE));
        let wanted = without_poison(&mut expected, 4);
        engine::check(&log, &models, &expected);
        assert!(engine::dead_windows(&log).is_empty());
        let dropped: u64 = metrics.models.iter().map(|model| model.windows_dropped.get()).sum();
        assert_eq!(dropped as usize, wanted.len());
    }
}

/// One model of tumbling windows of 10 ms, and an event per key and window.
fn tumbling(keys: usize, windows: i64) -> (Vec<Model>, Vec<Event>) {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let mut events = Vec::new();
    for window in 0..=windows {
        for key in 0..keys {
            let key = format!("k{key:03}").into_bytes();
            let offset = events.len() as i64;
            let event = Event { offset, key, time: window * 10, record_time: None, valid: true, value: 0.0 };
            events.push(event);
        }
    }
    (vec![Model { spec, floor: Floor::None }], events)
}

fn started(
    models: &[Model],
    events: &[Event],
    settings: &Settings,
    model: &Arc<dyn Predict>,
) -> (Offline<engine::Flaky>, MemoryLog, Arc<Metrics>) {
    let plan = engine::plan(models, settings);
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    let metrics = Arc::new(Metrics::new(&plan));
    let app = engine::start_with(&plan, &metrics, &log, settings, Rng::new(1), false, model);
    for event in events {
        engine::append(&log, event);
    }
    (app, log, metrics)
}

fn settle(app: &mut Offline<engine::Flaky>, times: usize) -> Result<()> {
    for _ in 0..times {
        app.ingest()?;
        app.predict()?;
        app.commit()?;
        app.advance(1);
    }
    Ok(())
}

#[test]
fn three_batches_of_nothing_but_failures_stop_the_run_and_none_is_committed() {
    let (models, events) = tumbling(64, 6);
    let always: Arc<dyn Predict> =
        Arc::new(|batch: &mut Batch| -> Result<Outputs> { Err(boom(&batch.windows[0])) });
    let settings = Settings { poll: 64, max_batch: 16, ..Settings::default() };
    let (mut app, log, _) = started(&models, &events, &settings, &always);
    let error = settle(&mut app, 50).unwrap_err();
    assert!(matches!(error, Error::ModelBroken { .. }), "{error}");
    for part in ["m0", "3 batches", "48 windows", "none of them is committed", "ValueError"] {
        assert!(error.to_string().contains(part), "{part} is missing in: {error}");
    }
    app.commit().unwrap();
    assert!(engine::dead_windows(&log).is_empty());
    let committed = log.committed(&engine::partition()).unwrap().0;
    assert!(committed <= 64, "offset {committed} stands for windows that have no outcome");
}

#[test]
fn what_the_breaker_holds_is_released_by_five_seconds_of_silence() {
    let (models, events) = tumbling(8, 2);
    let always: Arc<dyn Predict> =
        Arc::new(|batch: &mut Batch| -> Result<Outputs> { Err(boom(&batch.windows[0])) });
    let (mut app, log, _) =
        started(&models, &events, &Settings { poll: 100, ..Settings::default() }, &always);
    settle(&mut app, 1_000).unwrap();
    assert!(engine::dead_windows(&log).is_empty());
    app.advance(5_000);
    settle(&mut app, 3).unwrap();
    assert_eq!(engine::dead_windows(&log).len(), 16);
}

#[test]
fn what_the_breaker_holds_is_released_by_a_success() {
    let (models, events) = tumbling(8, 3);
    let first: Arc<dyn Predict> = Arc::new(|batch: &mut Batch| -> Result<Outputs> {
        match batch.windows.iter().find(|window| window.start == 0) {
            Some(window) => Err(boom(window)),
            None => engine::echo(batch),
        }
    });
    let (mut app, log, _) =
        started(&models, &events, &Settings { max_batch: 8, ..Settings::default() }, &first);
    settle(&mut app, 20).unwrap();
    assert_eq!(engine::dead_windows(&log).len(), 8);
    assert_eq!(engine::produced(&log, 1)[0].len(), 16);
}

#[test]
fn one_poison_window_in_256_costs_17_calls_at_the_most() {
    let (models, events) = tumbling(256, 1);
    for poison in [0_usize, 100, 255] {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, bad) = (calls.clone(), format!("k{poison:03}"));
        let model: Arc<dyn Predict> = Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
            counted.fetch_add(1, Ordering::Relaxed);
            match batch.windows.iter().find(|window| *window.key == *bad.as_bytes()) {
                Some(window) => Err(boom(window)),
                None => engine::echo(batch),
            }
        });
        let settings = Settings { poll: 1_000, ..Settings::default() };
        let (mut app, log, metrics) = started(&models, &events, &settings, &model);
        settle(&mut app, 20).unwrap();
        assert_eq!(engine::dead_windows(&log).len(), 1);
        assert_eq!(engine::produced(&log, 1)[0].len(), 255);
        assert!(calls.load(Ordering::Relaxed) <= 17, "{} calls", calls.load(Ordering::Relaxed));
        assert_eq!(metrics.models[0].batches.get() as usize, calls.load(Ordering::Relaxed));
    }
}

#[test]
fn values_too_large_for_a_dead_letter_stay_in_their_topic() {
    let spec = Spec { size: 1_000_000, hop: 1_000_000, offset: 0, grace: 0, min_events: 1 };
    let models = vec![Model { spec, floor: Floor::None }];
    let event = |offset: i64, time: i64| Event {
        offset,
        key: b"k".to_vec(),
        time,
        record_time: None,
        valid: true,
        value: 0.0,
    };
    let mut events: Vec<Event> = (0..30_000).map(|n| event(n, 1_000_000 + n)).collect();
    events.push(event(30_000, 2_000_000));
    let (mut app, log, _) =
        started(&models, &events, &Settings { poll: 5_000, ..Settings::default() }, &failing(1));
    settle(&mut app, 20).unwrap();
    app.advance(5_000);
    settle(&mut app, 5).unwrap();
    let record = log.topic("app.dead-letter").into_iter().flatten().next().unwrap();
    let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    assert!(value.get("values").is_none() && value.get("timestamps").is_none());
    assert_eq!((&value["topic"], &value["partition"]), (&"readings".into(), &0.into()));
    assert_eq!(value["offsets"]["first"], 0);
    let last = value["offsets"]["last"].as_i64().unwrap();
    assert!((29_999..=30_000).contains(&last), "{last}");
    assert_eq!(engine::header(&record, "reason"), "model_error");
    let ids: BTreeSet<_> = [value["id"].as_str().unwrap().to_owned(), engine::header(&record, "id")].into();
    assert_eq!(ids.len(), 1);
}
