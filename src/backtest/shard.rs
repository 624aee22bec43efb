//! One shard: the events of some keys through a lane and its models, on one thread.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::replay::{Part, Replay};
use super::results::Results;
use super::{Cause, Dropped};
use crate::clock;
use crate::commit::ToSink;
use crate::config::LengthBuckets;
use crate::context::ContextValue;
use crate::control::Control;
use crate::decode::Event;
use crate::encode::{EncodedResult, Fate};
use crate::error::{Error, Result};
use crate::lane::{Lane, Routes};
use crate::predict::{Batcher, Bounds, Job, Jobs, Pace, Predictor, Waiting};
use crate::record::{Headers, OutRecord, Stream};
use crate::shared::Shared;
use crate::time::Millis;
use crate::window::Missed;

/// Events from one look at batches and at the control to the next.
const CHUNK: usize = 4096;
/// Answers that wait at the most: one per call, and those that a breaker has held.
const ANSWERS: usize = 64;
/// Full batches after which a length bucket that has not come to one is called as it is: what its windows need stays in
/// memory.
const PATIENCE: usize = 8;
/// What a shard gave.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// By sink.
    pub(super) results: Vec<Results>,
    pub(super) dropped: Vec<Dropped>,
}

/// A model and its queue, worked off in place.
struct Served {
    model: usize,
    predictor: Predictor,
    jobs: Jobs,
    queue: Receiver<Job>,
    /// Windows that may close from one time on that none waits to the next.
    patience: usize,
    /// Windows taken since none waited.
    taken: usize,
}

pub(super) struct Shard<'a> {
    replay: &'a Replay<'a>,
    worker: usize,
    lane: Lane,
    served: Vec<Served>,
    answer: Sender<ToSink>,
    answers: Receiver<ToSink>,
    replayed: Replayed,
}

/// Time as retries see it: they do wait, and a breaker holds what it holds until the end.
struct Waits<'a>(&'a Control);

impl Pace for Waits<'_> {
    fn now(&self) -> Millis {
        0
    }

    fn sleep(&self, time: Duration) {
        clock::nap(time, || self.ending());
    }

    fn ending(&self) -> bool {
        self.0.stopping()
    }
}

impl<'a> Shard<'a> {
    /// Replays a part; `clocks` are those of all partitions at their ends.
    pub(super) fn run(
        replay: &'a Replay<'a>,
        worker: usize,
        part: Part,
        clocks: &[Millis],
        drain: bool,
    ) -> Result<Replayed> {
        let Some(first) = replay.shared.plan.models_of(replay.source).first().copied() else {
            return Ok(Replayed::default());
        };
        let model = &replay.models[first];
        let mut outcome = Err(Error::Ended("the interpreter ended before the backtest did".to_owned()));
        let mut part = Some(part);
        // Attached once for the life of the thread, so what models keep per thread stays; but not while it works.
        model.enter(&mut || {
            model.detached(&mut || {
                let Some(part) = part.take() else { return };
                outcome = Self::new(replay, worker).and_then(|shard| shard.whole(&part, clocks, drain));
            });
        });
        outcome
    }

    fn new(replay: &'a Replay<'a>, worker: usize) -> Result<Self> {
        let Shared { plan, metrics, log, .. } = replay.shared;
        let mut lane = Lane::new(plan.clone(), metrics.clone(), Routes::keep_all(plan), log.clone());
        lane.begin_all(replay.source, replay.table.partition_count())?;
        let served = lane.models(replay.source).iter().map(|model| {
            let bounds = Bounds::of(&plan.models[*model], 1);
            let batcher = Batcher::fixed(bounds);
            let predictor = Predictor::new(replay.shared, *model, replay.models[*model].clone(), batcher);
            let (jobs, queue) = Jobs::queue(&bounds, predictor.load());
            // Without buckets, less than a full batch waits.
            let bucketed = plan.models[*model].length_buckets != LengthBuckets::None;
            let patience = if bucketed { PATIENCE * bounds.windows } else { usize::MAX };
            Served { model: *model, predictor, jobs, queue, patience, taken: 0 }
        });
        let served = served.collect();
        let (answer, answers) = bounded(ANSWERS);
        let sinks = plan.sinks();
        let chained = |sink: &&str| plan.sources.iter().any(|source| source.topic == **sink);
        let results = sinks.iter().map(|sink| Results::new(chained(sink))).collect();
        let replayed = Replayed { results, dropped: Vec::new() };
        Ok(Self { replay, worker, lane, served, answer, answers, replayed })
    }

    fn whole(mut self, part: &Part, clocks: &[Millis], drain: bool) -> Result<Replayed> {
        let control = &self.replay.shared.control;
        for (rows, before) in part.rows.chunks(CHUNK).zip(part.clocks.chunks(CHUNK)) {
            if control.stopping() {
                return Ok(self.replayed);
            }
            self.take(rows, before);
            self.serve(false)?;
            self.lane.settle();
            self.replay.progress.done.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        for (index, clock) in clocks.iter().enumerate() {
            self.lane.finish(index, *clock, drain);
        }
        self.serve(true)?;
        for served in &self.served {
            served.predictor.release_due(Millis::MAX);
        }
        self.collect();
        self.lane.end_all();
        Ok(self.replayed)
    }

    fn take(&mut self, rows: &[u32], clocks: &[Millis]) {
        let table = self.replay.table;
        let width = self.replay.shared.plan.sources[self.replay.source].fields.len();
        let mut context = vec![ContextValue::Missing; table.contexts.len()];
        let mut missed = Vec::new();
        for (row, clock) in rows.iter().zip(clocks) {
            let row = *row as usize;
            for (value, column) in context.iter_mut().zip(&table.contexts) {
                value.clone_from(&column.values[column.ids[row] as usize]);
            }
            let event = Event {
                key: &table.keys[table.key_ids[row] as usize],
                time: table.times[row],
                row: &table.values[row * width..(row + 1) * width],
                context: &context,
            };
            let partition = table.partition(row) as usize;
            self.lane.take(partition, *clock, &event, table.offsets[row], &mut missed);
            for missed in missed.drain(..) {
                self.late(row, &missed);
            }
        }
    }

    fn late(&mut self, row: usize, missed: &Missed) {
        let model = self.lane.models(self.replay.source)[missed.model];
        let detail = format!("the watermark was {} ms", missed.watermark);
        let size = self.replay.shared.plan.models[model].size_ms;
        self.replayed.dropped.push(Dropped {
            model: Some(model),
            start: Some(missed.first_start),
            end: Some(missed.last_start + size),
            windows: missed.count,
            ..self.replay.row(row, Cause::Late, detail)
        });
    }

    /// Calls the models with full batches, at the end with what is left.
    fn serve(&mut self, all: bool) -> Result<()> {
        let plan = &self.replay.shared.plan;
        let pace = Waits(&self.replay.shared.control);
        let mut waiting = Vec::new();
        for index in 0..self.served.len() {
            let Served { model, .. } = self.served[index];
            let full = plan.models[model].max_batch;
            loop {
                let served = &mut self.served[index];
                self.lane.waiting(model, &mut waiting);
                let ready: usize = waiting.iter().map(|one| one.windows).sum();
                if ready == 0 || pace.ending() {
                    served.taken = 0;
                    break;
                }
                if !all && served.taken + ready < served.patience {
                    waiting.retain(|one: &Waiting| one.windows >= full);
                }
                let next = served.jobs.next(&waiting);
                let Some(batch) = next.and_then(|(bucket, size)| self.lane.batch(model, bucket, size)) else {
                    break;
                };
                served.taken += batch.len();
                if served.jobs.send(Job { batch, reply: self.answer.clone() }).is_err() {
                    break;
                }
                for job in served.queue.try_iter() {
                    served.predictor.answer(self.worker, job, &pace)?;
                }
                self.collect();
            }
        }
        Ok(())
    }

    /// Takes in what the models have answered.
    fn collect(&mut self) {
        while let Ok(message) = self.answers.try_recv() {
            if let ToSink::Predicted(results) = message {
                for result in results {
                    self.result(result);
                }
            }
        }
    }

    fn result(&mut self, result: EncodedResult) {
        let EncodedResult { end, model, rank, fate, record, .. } = result;
        let Shared { plan, metrics, .. } = self.replay.shared;
        metrics.models[model].committed(fate, 1);
        let Some(OutRecord { stream, partition, key: Some(key), value: Some(value), headers, .. }) = record
        else {
            return;
        };
        let (start, partition) = (end - plan.models[model].size_ms, partition.unwrap_or(0));
        match (fate, stream) {
            (Fate::Produced, Stream::Sink(sink)) => {
                self.replayed.results[sink].push((start, end), key, partition, rank as u32, value);
            }
            (Fate::DeadLettered(reason), _) => {
                let detail = match headers {
                    Headers::Named(named) => named.into_iter().find(|(name, _)| *name == "detail"),
                    Headers::Result { .. } => None,
                };
                let detail = detail.map(|(_, text)| String::from_utf8_lossy(&text).into_owned());
                self.replayed.dropped.push(Dropped {
                    source: self.replay.source,
                    cause: Cause::DeadLetter(reason),
                    detail: detail.unwrap_or_default(),
                    row: None,
                    partition,
                    offset: None,
                    key: Some(key),
                    model: Some(model),
                    start: Some(start),
                    end: Some(end),
                    windows: 1,
                });
            }
            _ => {}
        }
    }
}
