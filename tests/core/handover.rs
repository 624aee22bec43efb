//! What a partition leaves behind when it goes to another member: nothing that could still be committed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use crossbeam_channel::bounded;
use engine::Settings;
use millstream::commit::{Board, Committed, SinkStage, ToSink};
use millstream::encode::{EncodedResult, Fate};
use millstream::epoch::Cut;
use millstream::metrics::Metrics;
use millstream::sink::{MemoryLog, MemorySink};
use oracle::{Floor, Model, Spec};

const ASSIGNMENT: u64 = 7;

/// A sink stage with an epoch that waits for the result of its only window.
fn waiting() -> SinkStage<MemorySink> {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let plan = engine::plan(&[Model { spec, floor: Floor::None }], &Settings::default());
    let metrics = Arc::new(Metrics::new(&plan));
    metrics.inflight.add(64);
    let mut stage = SinkStage::new(MemorySink::new(plan, MemoryLog::default()), Board::default(), metrics);
    let (partition, metadata) = (engine::partition(), String::new());
    let committed = Committed { partition: partition.clone(), offset: 0, metadata: metadata.clone() };
    stage.take(ToSink::Assigned(ASSIGNMENT, committed));
    stage.take(ToSink::Cut(Cut {
        assignment: ASSIGNMENT,
        epoch: 0,
        partition,
        offset: 5,
        metadata,
        windows: 1,
        records: Vec::new(),
        bytes: 64,
        barrier: false,
    }));
    stage
}

fn result() -> EncodedResult {
    EncodedResult {
        assignment: ASSIGNMENT,
        epoch: 0,
        place: 10,
        end: 10,
        model: 0,
        rank: 0,
        fate: Fate::Silent,
        record: None,
    }
}

#[test]
fn a_call_that_ends_after_its_partition_has_gone_commits_nothing() {
    let mut stays = waiting();
    assert!(!stays.commit().unwrap(), "the window has no result yet");
    stays.take(ToSink::Predicted(vec![result()]));
    assert!(stays.commit().unwrap());

    let mut goes = waiting();
    let (done, finished) = bounded(1);
    goes.take(ToSink::Revoked(vec![ASSIGNMENT], done));
    finished.try_recv().unwrap();
    goes.take(ToSink::Predicted(vec![result()]));
    assert!(!goes.commit().unwrap());
}
