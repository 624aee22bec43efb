//! A model that is slower than its source: what it has predicted is committed while it is still at the rest, so that a
//! rebalance, or a new start, need not begin with all of it again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::Settings;
use millstream::batch::Batch;
use millstream::sink::MemoryLog;
use oracle::{Event, Floor, Model, Spec, expect};

#[test]
fn a_slow_model_has_the_first_of_a_long_backlog_committed_before_it_is_called_for_the_last() {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let models = vec![Model { spec, floor: Floor::None }];
    let plan = engine::plan(&models, &Settings::default());
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    let event =
        |n| Event { offset: n, key: b"k".to_vec(), time: n * 10, record_time: None, valid: true, value: 0.0 };
    let events: Vec<Event> = (0..800).map(event).collect();
    for event in &events {
        engine::append(&log, event);
    }
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (at_calls, committed) = (seen.clone(), log.clone());
    let model = move |batch: &mut Batch| {
        at_calls.lock().unwrap().extend(committed.committed(&engine::partition()).map(|(offset, _)| offset));
        std::thread::sleep(Duration::from_millis(4) * batch.len() as u32);
        engine::echo(batch)
    };
    engine::on_threads(&plan, &log, Arc::new(model)).unwrap();
    engine::check(&log, &models, &expect(&events, &models, &[], None));
    // It takes three seconds, and an epoch holds about one; but for the first one, of which nothing is known.
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 2, "offsets committed while it was called: {seen:?}");
}
