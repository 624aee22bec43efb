//! The parts of the core at work on a load. What is measured runs within one function of its own, so that both a clock
//! and a profiler can tell it from what is around it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream::batch::{Batch, Values};
use millstream::config::Plan;
use millstream::decode::Decoder;
use millstream::encode::ResultEncoder;
use millstream::lane::{Lane, Routes, Standing, StartPoint};
use millstream::log;
use millstream::metrics::Metrics;
use millstream::predict::{Column, Outputs, Size};
use millstream::record::TopicPartition;
use millstream::source::Assigned;
use millstream::time::Now;

use crate::Outcome;
use crate::load::{Load, Records};

/// Records that a poll hands over.
const POLL: u64 = 4_096;
/// Polls in an epoch.
const EPOCH: u64 = 32;
/// A clock that stands still.
const NOW: Now = Now { mono: 0, wall: 0 };

/// What is measured; the rest of the way is gone, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Decode,
    /// Decode, insert and close.
    Ingest,
    Gather,
    Encode,
    /// All of them.
    All,
}

/// What was measured of so many events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) events: u64,
    pub(crate) value_bytes: usize,
    /// Bytes of values and timestamps gathered.
    pub(crate) gathered: usize,
    pub(crate) took: Duration,
}

/// Everything that is measured runs in here; callgrind knows it by its name.
#[inline(never)]
fn measured_part<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs a load until `events` have been measured after its warm-up.
pub(crate) fn run(load: Load, part: Part, events: u64) -> Outcome<Measured> {
    let (mut bench, mut records) = (Bench::new(load)?, Records::new(load));
    let warm_up = if part == Part::Decode { 0 } else { load.warm_up() };
    let (mut done, mut measured) = (0, Measured::default());
    while measured.events < events {
        let warm = done >= warm_up;
        let count = POLL.min(if warm { events - measured.events } else { warm_up - done });
        records.make(count)?;
        done += count;
        let watch = warm.then_some(part);
        let (took, gathered) = bench.poll(&records, watch)?;
        if warm {
            measured.events += count;
            measured.value_bytes += records.value_bytes();
            measured.gathered += gathered;
            measured.took += took;
        }
    }
    Ok(measured)
}

/// One lane with one partition, and what stands before and after it.
struct Bench {
    decoder: Decoder,
    lane: Lane,
    encoders: Vec<ResultEncoder>,
    plan: Arc<Plan>,
    polls: u64,
}

impl Bench {
    fn new(load: Load) -> Outcome<Self> {
        let plan = load.plan()?;
        let metrics = Arc::new(Metrics::new(&plan));
        let routes = Routes::keep_all(&plan);
        let (log, _) = log::channel();
        let mut lane = Lane::new(plan.clone(), metrics.clone(), routes.clone(), log);
        let assigned = Assigned {
            partition: TopicPartition { topic: plan.sources[0].topic.as_str().into(), partition: 0 },
            committed: None,
            bounds: (0, 0),
            partitions: 1,
            topic_id: None,
            earlier: None,
        };
        let start = StartPoint::of(&plan, &assigned, false, NOW)?;
        lane.begin(0, &start, start.restoring(&plan, &metrics), 0, NOW)?;
        let encoders =
            (0..plan.models.len()).map(|model| ResultEncoder::new(&plan, model, &routes)).collect();
        Ok(Self { decoder: Decoder::new(&plan.sources[0]), lane, encoders, plan, polls: 0 })
    }

    /// One turn of the ingest stage, and of what follows it.
    fn poll(&mut self, records: &Records, watch: Option<Part>) -> Outcome<(Duration, usize)> {
        let mut clock = Clock { watch, took: Duration::ZERO };
        if watch == Some(Part::Decode) {
            // It keeps nothing from record to record, and the rest of the way need not be gone.
            let decoder = &mut self.decoder;
            clock.run(Part::Decode, || {
                records.iter().all(|record| black_box(decoder.decode(&record)).is_ok())
            });
        }
        let lane = &mut self.lane;
        clock.run(Part::Ingest, || records.iter().try_for_each(|record| lane.ingest(0, &record, NOW)))?;
        let mut gathered = 0;
        for model in 0..self.plan.models.len() {
            let size = Size { windows: self.plan.models[model].max_batch, events: usize::MAX };
            while let Some(mut batch) = clock.run(Part::Gather, || lane.batch(model, 0, size)) {
                gathered += bytes(&batch);
                let outputs = means(&mut batch);
                let encoder = &self.encoders[model];
                clock.run(Part::Encode, || encoder.encode(&self.plan, &batch.windows, &outputs))?;
            }
        }
        self.polls += 1;
        if self.polls.is_multiple_of(EPOCH) {
            black_box(lane.cut(0, Standing { end: None, caught_up: false }, true, NOW));
        }
        Ok((clock.took, gathered))
    }
}

/// Measures the part that is watched.
struct Clock {
    watch: Option<Part>,
    took: Duration,
}

impl Clock {
    fn run<T>(&mut self, part: Part, work: impl FnOnce() -> T) -> T {
        if self.watch != Some(part) && self.watch != Some(Part::All) {
            return work();
        }
        let began = Instant::now();
        let out = measured_part(work);
        self.took += began.elapsed();
        black_box(out)
    }
}

fn bytes(batch: &Batch) -> usize {
    batch.values.len() * size_of::<f64>()
        + batch.timestamps.as_ref().map_or(0, |times| size_of_val(&times[..]))
}

/// What the model says: the mean of the first field.
fn means(batch: &mut Batch) -> Outputs {
    let Values::F64(values) = &batch.values else { return Outputs::Columns(Vec::new()) };
    let width = values.len() / batch.row_splits.last().map_or(1, |rows| (*rows).max(1) as usize);
    let mean = |window| {
        let rows = batch.rows(window);
        let count = rows.len() as f64;
        rows.map(|row| values[row * width]).sum::<f64>() / count
    };
    Outputs::Columns(vec![("mean".to_owned(), Column::Floats((0..batch.len()).map(mean).collect()))])
}
