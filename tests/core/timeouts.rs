//! A call that does not return, on threads: the run ends and says whose call it was; the window that did it three times
//! is a dead letter in the fourth run, and nobody else's result is lost or comes twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use engine::Settings;
use millstream::batch::Batch;
use millstream::config::Plan;
use millstream::error::{Error, Result};
use millstream::metadata::Metadata;
use millstream::predict::{Column, Outputs};
use millstream::sink::MemoryLog;
use oracle::{Event, Floor, Model, Spec, expect};

const KEYS: usize = 12;

/// Never returns from the first window of one key.
fn hanging(batch: &mut Batch) -> Result<Outputs> {
    if batch.windows.iter().any(|window| window.start == 10 && *window.key == *b"k007") {
        loop {
            std::thread::park();
        }
    }
    engine::echo(batch)
}

/// Never returns from the event at one offset.
fn hanging_on_an_event(batch: &mut Batch) -> Outputs {
    if batch.windows.iter().any(|event| event.offsets.0 == 19) {
        loop {
            std::thread::park();
        }
    }
    let offsets = batch.windows.iter().map(|event| event.offsets.0).collect();
    vec![("seq".to_owned(), Column::Ints(offsets))].into()
}

/// One run to the end of the source.
fn run(plan: &Arc<Plan>, log: &MemoryLog) -> Result<()> {
    engine::on_threads(plan, log, Arc::new(hanging))
}

fn filled(on_error: &'static str) -> (Arc<Plan>, MemoryLog, Vec<Model>, Vec<Event>) {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let models = vec![Model { spec, floor: Floor::None }];
    let plan = engine::plan(&models, &Settings { timeout: Some(2_000), on_error, ..Settings::default() });
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    let mut events = Vec::new();
    for time in [0, 10, 20, 30] {
        for key in 0..KEYS {
            let (offset, key) = (events.len() as i64, format!("k{key:03}").into_bytes());
            events.push(Event { offset, key, time, record_time: None, valid: true, value: 0.0 });
        }
    }
    for event in &events {
        engine::append(&log, event);
    }
    (plan, log, models, events)
}

#[test]
fn a_window_that_has_ended_the_run_three_times_is_a_dead_letter_and_its_siblings_come_out_once() {
    let (plan, log, models, events) = filled("dead_letter");
    for attempt in 1..=3 {
        let error = run(&plan, &log).unwrap_err();
        assert!(matches!(error, Error::Model(_)), "{error}");
        for part in ["m0", "timeout=2000ms", "\"k007\" [10, 20)"] {
            assert!(attempt == 1 || error.to_string().contains(part), "{part} is missing in: {error}");
        }
        let (_, text) = log.committed(&engine::partition()).unwrap();
        assert!(!Metadata::decode(&text).unwrap().extension.strikes.is_empty(), "{text}");
        assert!(engine::dead_windows(&log).is_empty());
    }
    run(&plan, &log).unwrap();
    let mut expected = expect(&events, &models, &[], None);
    let poison = expected.windows.iter().position(|window| window.start == 10 && window.key == b"k007");
    let poison = expected.windows.remove(poison.unwrap());
    engine::check(&log, &models, &expected);
    assert_eq!(engine::dead_windows(&log), [poison]);
    let (_, text) = log.committed(&engine::partition()).unwrap();
    assert!(
        Metadata::decode(&text).unwrap().extension.strikes.is_empty(),
        "what is done is forgotten: {text}"
    );
}

#[test]
fn with_on_error_fail_a_call_that_does_not_return_ends_the_run_and_nothing_is_remembered() {
    let (plan, log, ..) = filled("fail");
    let error = run(&plan, &log).unwrap_err().to_string();
    assert!(error.contains("timeout=2000ms"), "{error}");
    let (_, text) = log.committed(&engine::partition()).unwrap();
    assert!(Metadata::decode(&text).unwrap().extension.strikes.is_empty(), "{text}");
}

#[test]
fn an_event_that_has_ended_the_run_three_times_is_a_dead_letter_and_its_siblings_are_scored_once() {
    let (plan, log, _, events) = filled("dead_letter");
    let mut plan = (*plan).clone();
    plan.models[0].max_wait_ms = Some(1);
    plan.models[0].timestamps = false;
    plan.models[0].max_batch = 5;
    let plan = Arc::new(plan);
    let committed = || Metadata::decode(&log.committed(&engine::partition()).unwrap().1).unwrap();
    let run =
        || engine::on_threads(&plan, &log, Arc::new(|batch: &mut Batch| Ok(hanging_on_an_event(batch))));
    for attempt in 1..=3 {
        let error = run().unwrap_err().to_string();
        assert!(error.contains("timeout=2000ms"), "{error}");
        let alone = error.contains("on 1 events: \"k007\" at offset 19 of partition 0.");
        assert!(attempt == 1 || alone, "{error}");
        let extension = committed().extension;
        assert!(!extension.struck_events.is_empty() && extension.strikes.is_empty());
    }
    run().unwrap();
    let offset = |record| engine::header(record, "offset").parse::<i64>().unwrap();
    let dead: Vec<i64> = log.topic("app.dead-letter").iter().flatten().map(offset).collect();
    assert_eq!(dead, [19]);
    let seqs: Vec<i64> = log
        .topic("out0")
        .iter()
        .flatten()
        .map(|record| serde_json::from_slice::<serde_json::Value>(record.value.as_ref().unwrap()).unwrap())
        .map(|value| value["seq"].as_i64().unwrap())
        .collect();
    let siblings: Vec<i64> = events.iter().map(|event| event.offset).filter(|offset| *offset != 19).collect();
    assert_eq!(seqs, siblings);
    assert!(committed().extension.struck_events.is_empty(), "what is done is forgotten");
}
