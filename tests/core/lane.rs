//! Promises of a lane about what it must not count or take twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use engine::Settings;
use millstream::lane::{Lane, Routes, Standing, StartPoint};
use millstream::log;
use millstream::metadata::Metadata;
use millstream::metrics::Metrics;
use millstream::predict::Size;
use millstream::record::{RawRecord, TopicPartition};
use millstream::source::Assigned;
use millstream::time::Now;
use oracle::{Floor, Model, Spec};

const NOW: Now = Now { mono: 0, wall: 0 };

fn lane(committed: Option<(i64, Metadata)>, replayed: &[(i64, i64)]) -> (Lane, Arc<Metrics>) {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let plan = engine::plan(&[Model { spec, floor: Floor::None }], &Settings::default());
    let metrics = Arc::new(Metrics::new(&plan));
    let (says, _) = log::channel();
    let mut lane = Lane::new(plan.clone(), metrics.clone(), Routes::keep_all(&plan), says);
    let assigned = Assigned {
        partition: engine::partition(),
        committed: committed.map(|(offset, metadata)| (offset, metadata.encode())),
        bounds: (0, 1_000),
        partitions: 1,
        topic_id: None,
        earlier: None,
    };
    let start = StartPoint::of(&plan, &assigned, false, NOW).unwrap();
    let mut restoring = start.restoring(&plan, &metrics);
    for (offset, time) in replayed {
        restoring.replay(&record(*offset, &value(*time))).unwrap();
    }
    lane.begin(0, &start, restoring, 0, NOW).unwrap();
    (lane, metrics)
}

fn value(time: i64) -> String {
    format!("{{\"seq\":0,\"ts\":{time}}}")
}

fn record(offset: i64, value: &str) -> RawRecord<'_> {
    RawRecord { offset, key: Some(b"k"), value: Some(value.as_bytes()), timestamp: None }
}

#[test]
fn a_record_below_the_next_expected_offset_is_dropped_and_counted() {
    let (mut lane, metrics) = lane(None, &[]);
    for offset in [0, 1, 0, 1, 2] {
        lane.ingest(0, &record(offset, &value(offset)), NOW).unwrap();
    }
    lane.publish();
    assert_eq!(metrics.sources[0].consumed.get(), 3);
    assert_eq!(metrics.sources[0].below_expected.get(), 2);
    assert_eq!(metrics.models[0].events.get(), 3);
}

#[test]
fn a_replay_counts_nothing_and_sends_nothing() {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let plan = engine::plan(&[Model { spec, floor: Floor::None }], &Settings::default());
    let mut metadata = Metadata::of(&plan, 0, None, 1);
    metadata.clock = Some(25);
    // On time, late for all its windows, no event at all.
    let (mut lane, metrics) = lane(Some((3, metadata)), &[(0, 24), (1, 3), (2, i64::MAX)]);
    lane.publish();
    let counters = &metrics.models[0];
    let counted = [&counters.events, &counters.late_events, &counters.late_pairs, &counters.windows_closed];
    assert_eq!(counted.map(millstream::metrics::Counter::get), [0; 4]);
    assert_eq!(metrics.sources[0].dead_letters_total(), 0);
    let standing = Standing { end: Some(3), caught_up: true };
    assert_eq!(lane.cut(0, standing, true, NOW), None, "nothing of a replay is to be committed");
    // What it rebuilt is there: the next window closes with the replayed event in it.
    lane.ingest(0, &record(3, &value(30)), NOW).unwrap();
    let batch = lane.batch(0, 0, Size { windows: 256, events: usize::MAX }).unwrap();
    assert_eq!((batch.windows[0].start, batch.windows[0].events), (20, 1));
}

#[test]
fn a_key_that_a_replay_brought_back_is_noticed_in_a_second_partition() {
    let spec = Spec { size: 100, hop: 100, offset: 0, grace: 0, min_events: 1 };
    let mut plan = (*engine::plan(&[Model { spec, floor: Floor::None }], &Settings::default())).clone();
    plan.sources[0].key = Some("id".into());
    let plan = Arc::new(plan);
    let metrics = Arc::new(Metrics::new(&plan));
    let (says, _) = log::channel();
    let mut lane = Lane::new(plan.clone(), metrics.clone(), Routes::keep_all(&plan), says);
    let event = "{\"seq\":0,\"ts\":5,\"id\":\"a\"}";
    for number in 0..2 {
        let mut metadata = Metadata::of(&plan, 0, None, 2);
        metadata.clock = Some(5);
        let partition = TopicPartition { partition: number, ..engine::partition() };
        let committed = Some((1, metadata.encode()));
        let assigned =
            Assigned { partition, committed, bounds: (0, 9), partitions: 2, topic_id: None, earlier: None };
        let start = StartPoint::of(&plan, &assigned, false, NOW).unwrap();
        let mut restoring = start.restoring(&plan, &metrics);
        if number == 0 {
            restoring.replay(&record(0, event)).unwrap();
        }
        lane.begin(number as usize, &start, restoring, number as u64, NOW).unwrap();
    }
    lane.ingest(0, &record(1, event), NOW).unwrap();
    let error = lane.ingest(1, &record(1, event), NOW).unwrap_err().to_string();
    for part in ["\"a\"", "\"id\"", "partitions 0 and 1", "scattered=True"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn open_windows_are_counted_about_once_a_second_and_given_back_with_their_partition() {
    let spec = Spec { size: 10, hop: 5, offset: 0, grace: 0, min_events: 1 };
    let plan = engine::plan(&[Model { spec, floor: Floor::None }], &Settings::default());
    let metrics = Arc::new(Metrics::new(&plan));
    let (says, _) = log::channel();
    let mut lane = Lane::new(plan.clone(), metrics.clone(), Routes::keep_all(&plan), says);
    let assigned = Assigned {
        partition: engine::partition(),
        committed: None,
        bounds: (0, 0),
        partitions: 1,
        topic_id: None,
        earlier: None,
    };
    let start = StartPoint::of(&plan, &assigned, false, NOW).unwrap();
    lane.begin(0, &start, start.restoring(&plan, &metrics), 0, NOW).unwrap();
    let open = |lane: &mut Lane, mono| {
        lane.count_open(Now { mono, ..NOW });
        metrics.models[0].windows_open.load(std::sync::atomic::Ordering::Relaxed)
    };
    // [-5, 5) and [0, 10); with the clock at 7 the first has closed, and [5, 15) is there.
    lane.ingest(0, &record(0, &value(3)), NOW).unwrap();
    assert_eq!(open(&mut lane, 0), 2);
    lane.ingest(0, &record(1, &value(7)), NOW).unwrap();
    lane.ingest(0, &record(2, &value(4)), NOW).unwrap();
    lane.ingest(0, &record(3, &value(22)), NOW).unwrap();
    assert_eq!(open(&mut lane, 999), 2, "less than a second has passed");
    // All have closed but [15, 25) and [20, 30).
    assert_eq!(open(&mut lane, 1_000), 2);
    lane.ingest(0, &record(4, &value(24)), NOW).unwrap();
    lane.ingest(0, &RawRecord { key: Some(b"other"), ..record(5, &value(20)) }, NOW).unwrap();
    assert_eq!(open(&mut lane, 2_000), 4, "two of each key");
    lane.end(0);
    assert_eq!(open(&mut lane, 3_000), 0);
}
