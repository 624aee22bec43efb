//! The shortest runs in which a rule that looks as good is wrong: of adoption, and of the clean-up timer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use engine::Settings;
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::sink::MemoryLog;
use oracle::log::Rng;
use oracle::{Event, Floor, Model, Spec};

const SIZE: i64 = 10;
const TIMEOUT: i64 = 1_000;

fn tumbling(size: i64) -> Model {
    Model { spec: Spec { size, hop: size, offset: 0, grace: 0, min_events: 1 }, floor: Floor::None }
}

/// One app after the other on one log, each with a model of its own.
struct Group {
    log: MemoryLog,
    events: i64,
}

impl Group {
    fn new() -> Self {
        let log = MemoryLog::default();
        log.create(engine::TOPIC, 1);
        Self { log, events: 0 }
    }

    fn start(&self, size: i64) -> Offline<engine::Flaky> {
        let settings = Settings { idle_timeout: Some(TIMEOUT), ..Settings::default() };
        let plan = engine::plan(&[tumbling(size)], &settings);
        let metrics = Arc::new(Metrics::new(&plan));
        engine::start(&plan, &metrics, &self.log, &settings, Rng::new(1), true)
    }

    fn event(&mut self, time: i64) {
        let offset = self.events;
        self.events += 1;
        engine::append(
            &self.log,
            &Event { offset, key: b"k".to_vec(), time, valid: true, value: 0.0, record_time: None },
        );
    }

    /// Starts and event times of the windows that were produced.
    fn windows(&self) -> Vec<(i64, Vec<i64>)> {
        let windows = engine::produced(&self.log, 1).swap_remove(0).into_iter();
        windows.map(|w| (w.start, w.events.iter().map(|(time, _)| *time).collect())).collect()
    }
}

/// Were the floor's own start among the windows of an adopted model, the second adoption would begin [10, 20), whose
/// first event no window of the first adoption needed, so that it is not read again.
#[test]
fn a_second_adoption_begins_no_window_that_misses_an_event_at_the_clock() {
    let mut group = Group::new();
    group.event(0);
    group.event(10);
    group.start(SIZE).settle().unwrap();
    // At its floor, 10, [10, 15) is closed to it; [15, 20) needs nothing that there is.
    group.start(5).settle().unwrap();
    group.event(12);
    group.event(40);
    group.start(SIZE).settle().unwrap();
    assert_eq!(group.windows(), [(0, vec![0])]);
}

/// Were the advance not committed before what it closes, the second start would put the event at 5 into [0, 10), of
/// which the first may have told another content under the same id.
#[test]
fn an_event_after_an_idle_advance_is_late_whatever_crashes_in_between() {
    let mut group = Group::new();
    group.event(0);
    let mut app = group.start(SIZE);
    app.settle().unwrap();
    app.advance(TIMEOUT + SIZE);
    app.ingest().unwrap();
    app.commit().unwrap();
    assert!(engine::advance_in(&group.log).is_some(), "the advance is a fact before anything is produced");
    assert_eq!(group.windows(), []);
    drop(app);
    group.event(5);
    let mut app = group.start(SIZE);
    app.settle().unwrap();
    app.advance(1);
    app.settle().unwrap();
    assert_eq!(group.windows(), [(0, vec![0])]);
    assert_eq!(engine::late_pairs(&group.log, &[tumbling(SIZE)]), [(0, 1, 0)]);
}
