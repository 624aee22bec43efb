//! Length buckets: every batch holds windows of one bucket only, every window is predicted exactly once, and nothing
//! else changes, whatever the buckets and the schedule.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use engine::{Flaky, Settings};
use millstream::batch::{Batch, WindowMeta};
use millstream::config::{LengthBuckets, Plan};
use millstream::error::Error;
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::predict::{Model as Predict, Outputs};
use millstream::sink::MemoryLog;
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Floor, Model, Spec, expect};
use serde_json::{Value, json};

type Seen = Arc<Mutex<Vec<Vec<WindowMeta>>>>;

fn random_buckets(rng: &mut Rng) -> Value {
    if rng.below(3) == 0 {
        return json!("exact");
    }
    let mut bound = 0;
    let mut next = || {
        bound += 1 + rng.below(6);
        bound
    };
    json!((0..5).map(|_| next()).collect::<Vec<usize>>())
}

/// A model that remembers what it was called with, and fails where one of the windows has so many events.
fn witness(seen: &Seen, fails_on: Option<usize>) -> Arc<dyn Predict> {
    let seen = seen.clone();
    Arc::new(move |batch: &mut Batch| -> millstream::error::Result<Outputs> {
        seen.lock().unwrap().push(batch.windows.clone());
        if let Some(bad) = batch.windows.iter().find(|window| Some(window.events) == fails_on) {
            return Err(Error::model(format!("{} events", bad.events)));
        }
        engine::echo(batch)
    })
}

/// Feeds events by a random schedule, then runs to the end.
fn drive(app: &mut Offline<Flaky>, log: &MemoryLog, events: &[Event], rng: &mut Rng) {
    let mut fed = 0;
    while fed < events.len() {
        for event in events.iter().skip(fed).take(1 + rng.below(30)) {
            engine::append(log, event);
            fed += 1;
        }
        for _ in 0..rng.below(4) {
            app.ingest().unwrap();
        }
        if rng.below(2) == 0 {
            app.predict().unwrap();
            app.commit().unwrap();
        }
        app.advance(rng.below(3) as i64);
    }
    app.run_until(false);
    for _ in 0..100_000 {
        if app.ingest().unwrap() {
            return;
        }
        app.predict().unwrap();
        app.commit().unwrap();
        app.advance(1);
    }
    panic!("the run does not end");
}

fn started(
    plan: &Arc<Plan>,
    log: &MemoryLog,
    settings: &Settings,
    model: &Arc<dyn Predict>,
) -> Offline<Flaky> {
    let metrics = Arc::new(Metrics::new(plan));
    engine::start_with(plan, &metrics, log, settings, Rng::new(0), false, model)
}

#[test]
fn every_batch_is_of_one_bucket_and_every_window_is_predicted_once_and_emitted_in_order() {
    let (mut batches, mut several, mut lengths) = (0, 0, BTreeMap::new());
    for seed in 0..300 {
        let mut rng = Rng::new(seed ^ 0xb0c);
        let models = random_models(seed);
        let mut events = random_log(seed, &Shape::of(&models, 200, 60_000));
        events.iter_mut().zip(0..).for_each(|(event, offset)| event.offset = offset);
        let settings = Settings {
            max_future: Some(60_000),
            length_buckets: random_buckets(&mut rng),
            max_batch: 1 + rng.below(9),
            workers: 1 + rng.below(3),
            ..Settings::default()
        };
        let (plan, log, seen) = (engine::plan(&models, &settings), MemoryLog::default(), Seen::default());
        log.create(engine::TOPIC, 1);
        engine::commit_floors(&plan, &models, &log);
        let mut app = started(&plan, &log, &settings, &witness(&seen, None));
        drive(&mut app, &log, &events, &mut rng);

        let expected = expect(&events, &models, &[], Some(60_000));
        engine::check(&log, &models, &expected);
        let buckets: LengthBuckets = serde_json::from_value(settings.length_buckets.clone()).unwrap();
        let seen = seen.lock().unwrap();
        for windows in seen.iter() {
            let of: Vec<usize> = windows.iter().map(|window| buckets.bucket(window.events)).collect();
            assert!(of.iter().all(|bucket| *bucket == of[0]), "seed {seed}: {of:?} of {buckets:?}");
            assert!(windows.len() <= settings.max_batch);
            batches += 1;
            several += usize::from(windows.len() > 1);
            *lengths.entry(of[0]).or_insert(0) += 1;
        }
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), expected.windows.len(), "seed {seed}");
    }
    let teeth = [several * 10 > batches, lengths.len() > 5];
    assert_eq!(teeth, [true; 2], "{several} of {batches} batches with several windows, buckets {lengths:?}");
}

#[test]
fn the_search_for_a_poison_window_stays_within_its_bucket() {
    let model =
        Model { spec: Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 }, floor: Floor::None };
    let settings =
        Settings { length_buckets: json!([2, 4]), max_batch: 64, poll: 500, ..Settings::default() };
    let plan = engine::plan(&[model], &settings);
    let (log, seen) = (MemoryLog::default(), Seen::default());
    log.create(engine::TOPIC, 1);
    let mut app = started(&plan, &log, &settings, &witness(&seen, Some(3)));
    // Keys with 1 to 6 events each, only one with 3.
    let counts = [1, 2, 4, 5, 6, 1, 3, 4, 4, 2, 5, 6, 6];
    let keys = counts.iter().enumerate().flat_map(|(key, count)| (0..*count).map(move |_| key));
    let mut events: Vec<Event> = keys.map(|key| event(&format!("k{key:02}"), 5)).collect();
    events.push(event("last", 25));
    events.iter_mut().zip(0..).for_each(|(event, offset)| event.offset = offset);
    for event in &events {
        engine::append(&log, event);
    }
    drive(&mut app, &log, &[], &mut Rng::new(1));

    let keys =
        |windows: Vec<oracle::Window>| windows.into_iter().map(|window| window.key).collect::<Vec<_>>();
    let wanted =
        (0..counts.len()).filter(|key| counts[*key] != 3).map(|key| format!("k{key:02}").into_bytes());
    assert_eq!(keys(engine::produced(&log, 1).remove(0)), wanted.collect::<Vec<_>>());
    assert_eq!(keys(engine::dead_windows(&log)), [b"k06".to_vec()]);
    let buckets = LengthBuckets::Bounds(vec![2, 4]);
    for windows in seen.lock().unwrap().iter() {
        let of: Vec<usize> = windows.iter().map(|window| buckets.bucket(window.events)).collect();
        assert!(of.iter().all(|bucket| *bucket == of[0]), "{of:?}");
    }
    // The bucket of the poison window is searched, the others are called once each.
    let calls =
        |bucket| seen.lock().unwrap().iter().filter(|w| buckets.bucket(w[0].events) == bucket).count();
    assert_eq!((calls(0), calls(2)), (1, 1));
    assert!(calls(1) > 2);
}

fn event(key: &str, time: i64) -> Event {
    Event { offset: 0, key: key.as_bytes().to_vec(), time, record_time: Some(time), valid: true, value: 0.0 }
}

#[test]
fn other_buckets_do_not_make_another_model() {
    let model =
        Model { spec: Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 }, floor: Floor::None };
    let of = |length_buckets| {
        let plan =
            engine::plan(std::slice::from_ref(&model), &Settings { length_buckets, ..Settings::default() });
        plan.fingerprint(&plan.models[0])
    };
    assert_eq!(of(json!([4, 16])), of(Value::Null));
    assert_eq!(of(json!("exact")), of(Value::Null));
}
