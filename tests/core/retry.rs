//! Windows and events called again from their dead letters: the results are those that a run without the failure writes, whether
//! the values are in the dead letter or have to be read from the source.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::{Arc, Mutex};

use engine::Settings;
use millstream::batch::Batch;
use millstream::config::{LengthBuckets, Plan};
use millstream::error::{Error, Result};
use millstream::lane::Routes;
use millstream::metrics::Metrics;
use millstream::predict::{Column, Model as Predict, Outputs};
use millstream::record::RawRecord;
use millstream::retry::{Outcome, Setting, Written, call_again};
use millstream::sink::{MemoryLog, MemoryRecord};
use millstream::source::{Replay, ReplayRange};
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Floor, Model, Spec};
use serde_json::{Value, json};

const MAX_FUTURE: i64 = 60_000;

fn raised(text: &str) -> Error {
    Error::ModelRaised {
        model: "m0".into(),
        summary: text.into(),
        traceback: "Traceback".into(),
        fatal: false,
        window: None,
        cause: "boom".into(),
    }
}

/// Fails on about a third of the windows, by their start alone.
fn failing() -> Arc<dyn Predict> {
    Arc::new(|batch: &mut Batch| -> Result<Outputs> {
        if batch.windows.iter().any(|window| poison(window.start)) {
            return Err(raised("ValueError: no"));
        }
        engine::echo(batch)
    })
}

fn poison(start: i64) -> bool {
    ((start as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(3)
}

fn echo() -> Arc<dyn Predict> {
    Arc::new(|batch: &mut Batch| engine::echo(batch))
}

/// Reads a log in memory again.
struct Memory(MemoryLog);

impl Replay for Memory {
    fn read(
        &mut self,
        range: &ReplayRange,
        _stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<()> {
        let partition = self.0.topic(&range.partition.topic).swap_remove(range.partition.partition as usize);
        for (offset, record) in (0..).zip(&partition) {
            if (range.from..range.to).contains(&offset) {
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                each(RawRecord { offset, key, value, timestamp: record.timestamp });
            }
        }
        Ok(())
    }
}

fn run(plan: &Arc<Plan>, models: &[Model], events: &[Event], model: &Arc<dyn Predict>) -> MemoryLog {
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    engine::commit_floors(plan, models, &log);
    let metrics = Arc::new(Metrics::new(plan));
    let settings = Settings::default();
    for event in events {
        engine::append(&log, event);
    }
    let mut app = engine::start_with(plan, &metrics, &log, &settings, Rng::new(1), false, model);
    app.run_until(true);
    while !app.ingest().unwrap() {
        app.predict().unwrap();
        app.commit().unwrap();
        app.advance(50);
    }
    log
}

fn records(log: &MemoryLog, topic: &str) -> Vec<MemoryRecord> {
    log.topic(topic).into_iter().flatten().collect()
}

fn header(record: &MemoryRecord, name: &str) -> String {
    let found = record.headers.iter().find(|(header, _)| header == name);
    String::from_utf8(found.unwrap().1.clone()).unwrap()
}

fn dead_windows(log: &MemoryLog) -> Vec<Written> {
    let dead = records(log, "app.dead-letter").into_iter();
    let dead = dead.filter(|record| header(record, "reason") == "model_error");
    dead.map(|record| (record.key.unwrap(), record.value.unwrap())).collect()
}

fn again(
    plan: &Arc<Plan>,
    log: &MemoryLog,
    letters: &[Written],
    model: Arc<dyn Predict>,
) -> Result<Vec<Outcome>> {
    let (says, _reader) = millstream::log::channel();
    let mut replay = Memory(log.clone());
    let setting = Setting { routes: Routes::keep_all(plan), oldest: None, replay: &mut replay, log: says };
    call_again(plan, 0, model, letters, setting)
}

/// Takes the values out of a dead letter, as if they had been too many.
fn without_values((key, value): &Written) -> Written {
    let mut letter: Value = serde_json::from_slice(value).unwrap();
    let seqs: Vec<i64> =
        letter["values"].as_array().unwrap().iter().map(|row| row[0].as_f64().unwrap() as i64).collect();
    let letter = letter.as_object_mut().unwrap();
    for name in ["values", "timestamps", "context"] {
        letter.remove(name);
    }
    letter.insert("offsets".into(), json!({"first": seqs.iter().min(), "last": seqs.iter().max()}));
    (key.clone(), serde_json::to_vec(letter).unwrap())
}

/// A run with failures, one without, and the dead letters of the first.
fn case(seed: u64) -> (Arc<Plan>, MemoryLog, MemoryLog, Vec<Written>) {
    let models = &random_models(seed)[..1];
    let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
    let mut events = random_log(seed, &Shape::of(models, 200, MAX_FUTURE));
    for (offset, event) in (0..).zip(&mut events) {
        event.offset = offset;
    }
    let plan = engine::plan(models, &settings);
    let (failed, whole) = (run(&plan, models, &events, &failing()), run(&plan, models, &events, &echo()));
    let letters = dead_windows(&failed);
    (plan, failed, whole, letters)
}

fn is_the_result(outcome: &Outcome, wanted: &MemoryRecord) {
    let Outcome::Result(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!((&answer.key, &answer.value), (&wanted.key, &wanted.value));
    assert_eq!(Some(answer.timestamp), wanted.timestamp);
    assert_eq!(answer.headers, wanted.headers);
    assert_eq!(answer.partition, Some(0));
}

#[test]
fn a_window_called_again_has_the_result_it_would_have_had() {
    let mut seen = 0;
    for seed in 0..20 {
        let (plan, log, whole, letters) = case(seed);
        let results = records(&whole, "out0");
        let outcomes = again(&plan, &log, &letters, echo()).unwrap();
        let from_source: Vec<Written> = letters.iter().map(without_values).collect();
        assert_eq!(again(&plan, &log, &from_source, echo()).unwrap(), outcomes);
        for ((_, value), outcome) in letters.iter().zip(&outcomes) {
            let letter: Value = serde_json::from_slice(value).unwrap();
            let wanted = results.iter().find(|record| header(record, "id") == letter["id"].as_str().unwrap());
            is_the_result(outcome, wanted.unwrap());
            seen += 1;
        }
    }
    assert!(seen > 100, "the test has no teeth: {seen}");
}

#[test]
fn windows_called_again_share_a_call_with_those_of_their_length_bucket() {
    let (mut several, mut calls) = (0, 0);
    for seed in 0..20 {
        let (plan, log, _, letters) = case(seed);
        let wanted = again(&plan, &log, &letters, echo()).unwrap();
        let mut bucketed = (*plan).clone();
        bucketed.models[0].length_buckets = LengthBuckets::Bounds(vec![1, 3, 9]);
        let seen: Arc<Mutex<Vec<Vec<usize>>>> = Arc::default();
        let (bucket, calls_made) = (bucketed.models[0].length_buckets.clone(), seen.clone());
        let model = Arc::new(move |batch: &mut Batch| {
            let of = batch.windows.iter().map(|window| bucket.bucket(window.events));
            calls_made.lock().unwrap().push(of.collect());
            engine::echo(batch)
        });
        assert_eq!(again(&Arc::new(bucketed), &log, &letters, model).unwrap(), wanted);
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|of| of.iter().all(|bucket| *bucket == of[0])), "seed {seed}: {seen:?}");
        // As few calls as can be, whatever the order of the letters.
        let mut sizes = [0; 4];
        seen.iter().for_each(|of| sizes[of[0]] += of.len());
        let full = plan.models[0].max_batch;
        assert_eq!(
            seen.len(),
            sizes.iter().map(|size: &usize| size.div_ceil(full)).sum::<usize>(),
            "{sizes:?}"
        );
        calls += seen.len();
        several += usize::from(seen.len() > 1);
    }
    assert!(several > 5, "the test has no teeth: {calls} calls");
}

/// Of single events returns the sequence number.
fn scorer(fails: bool) -> Arc<dyn Predict> {
    Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
        if fails && batch.windows.iter().any(|event| poison(event.start)) {
            return Err(raised("ValueError: no"));
        }
        let seqs = (0..batch.len()).map(|row| batch.values.get(row) as i64).collect();
        Ok(vec![("seq".to_owned(), Column::Ints(seqs))].into())
    })
}

#[test]
fn a_single_event_called_again_has_the_result_it_would_have_had() {
    let mut seen = 0;
    for seed in 0..20 {
        let spec = Spec { size: 1, hop: 1, offset: 0, grace: 0, min_events: 1 };
        let models = [Model { spec, floor: Floor::None }];
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let windows = engine::plan(&models, &settings);
        let mut plan = (*windows).clone();
        plan.models[0].timestamps = false;
        plan.models[0].max_wait_ms = Some(0);
        let plan = Arc::new(plan);
        let mut events = random_log(seed, &Shape::of(&models, 200, MAX_FUTURE));
        for (offset, event) in (0..).zip(&mut events) {
            event.offset = offset;
        }
        let (failed, whole) =
            (run(&plan, &models, &events, &scorer(true)), run(&plan, &models, &events, &scorer(false)));
        let results = records(&whole, "out0");
        let letters = dead_windows(&failed);
        let outcomes = again(&plan, &failed, &letters, scorer(false)).unwrap();
        let from_source: Vec<Written> = letters.iter().map(without_content).collect();
        assert_eq!(again(&plan, &failed, &from_source, scorer(false)).unwrap(), outcomes);
        for ((_, value), outcome) in letters.iter().zip(&outcomes) {
            let letter: Value = serde_json::from_slice(value).unwrap();
            let wanted = results.iter().find(|record| header(record, "id") == letter["id"].as_str().unwrap());
            is_the_result(outcome, wanted.unwrap());
            seen += 1;
        }
        for outcome in again(&windows, &failed, &letters, echo()).unwrap() {
            let Outcome::Failed { error, .. } = &outcome else { panic!("{outcome:?}") };
            assert!(error.contains("it is of one event, and the model reads windows now"), "{error}");
        }
    }
    assert!(seen > 100, "the test has no teeth: {seen}");
}

/// Takes the values out of the dead letter of an event, as if they had been too many.
fn without_content((key, value): &Written) -> Written {
    let mut letter: Value = serde_json::from_slice(value).unwrap();
    for name in ["values", "context"] {
        letter.as_object_mut().unwrap().remove(name).unwrap();
    }
    (key.clone(), serde_json::to_vec(&letter).unwrap())
}

#[test]
fn a_window_that_fails_again_is_told_and_its_siblings_have_results() {
    let (plan, log, _, letters) = (0..50).map(case).find(|(.., letters)| letters.len() > 3).unwrap();
    let first: Value = serde_json::from_slice(&letters[0].1).unwrap();
    let start = first["window"]["start"].as_i64().unwrap();
    let key = letters[0].0.clone();
    let model: Arc<dyn Predict> = Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
        if batch.windows.iter().any(|window| window.start == start && *window.key == *key) {
            return Err(raised("ValueError: again"));
        }
        engine::echo(batch)
    });
    let outcomes = again(&plan, &log, &letters, model).unwrap();
    let failed = Outcome::Failed { error: "ValueError: again".into(), traceback: Some("Traceback".into()) };
    assert_eq!(outcomes[0], failed);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Result(_))));
}

#[test]
fn events_that_are_no_longer_in_the_log_are_told() {
    let (plan, log, _, letters) = (0..50)
        .map(case)
        .find(|(.., letters)| {
            letters.iter().any(|(_, value)| value.windows(14).any(|part| part == b"\"n_events\":2,\""))
        })
        .unwrap();
    let two =
        letters.iter().find(|(_, value)| value.windows(14).any(|part| part == b"\"n_events\":2,\"")).unwrap();
    let mut letter: Value = serde_json::from_slice(&without_values(two).1).unwrap();
    letter["offsets"]["last"] = letter["offsets"]["first"].clone();
    let cut = (two.0.clone(), serde_json::to_vec(&letter).unwrap());
    let outcomes = again(&plan, &log, &[cut], echo()).unwrap();
    let Outcome::Failed { error, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(error.contains("hold 1 events of it, and it had 2"), "{error}");
}

#[test]
fn a_dead_letter_that_does_not_fit_the_model_is_not_called() {
    let (plan, log, _, letters) = (0..50).map(case).find(|(.., letters)| !letters.is_empty()).unwrap();
    let changed = |name: &str, value: Value| {
        let mut letter: Value = serde_json::from_slice(&letters[0].1).unwrap();
        letter[name] = value;
        (letters[0].0.clone(), serde_json::to_vec(&letter).unwrap())
    };
    for (letter, told) in [
        (changed("fields", json!(["other"])), "no field \"seq\""),
        (changed("context", json!({})), "no field \"seq\""),
        (changed("timestamps", Value::Null), "no timestamps"),
        (changed("topic", json!("elsewhere")), "\"elsewhere\""),
        (changed("n_events", json!(99)), "not those of 99 events"),
        ((Vec::new(), b"{".to_vec()), "cannot be read"),
    ] {
        let outcomes = again(&plan, &log, &[letter], echo()).unwrap();
        let Outcome::Failed { error, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_model_that_fails_on_everything_is_not_given_the_whole_pile() {
    let (plan, log, _, letters) = (0..50).map(case).find(|(.., letters)| letters.len() > 3).unwrap();
    let many: Vec<Written> = letters.iter().cycle().take(256 * 3).cloned().collect();
    let model: Arc<dyn Predict> =
        Arc::new(|_: &mut Batch| -> Result<Outputs> { Err(raised("NameError: typo")) });
    let error = again(&plan, &log, &many, model).unwrap_err();
    assert!(error.to_string().contains("failed on every window of 3 batches"), "{error}");
}
