//! One lane: the state of all partitions of one group member. Records go in, closed windows come out as batches,
//! and cuts say what may be committed. It reads no clock, knows no client and starts no thread.

mod cut;
pub(crate) mod guard;
mod lateness;
mod look;
mod open;
mod partition;
pub(crate) mod retention;
mod rows;
mod score;
mod start;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use cut::Standing;
pub use start::{Restoring, StartPoint};

use crate::batch::{Batch, Values, WindowMeta};
use crate::config::{Late, Plan, Unit};
use crate::decode::{Decoder, Reason, Rejected};
use crate::error::Result;
#[cfg(feature = "fault")]
use crate::fault::{self, Mutant};
use crate::log::{Log, Said};
use crate::metrics::Metrics;
use crate::predict::{Size, Waiting};
use crate::record::{Headers, Key, OutRecord, RawRecord, Stream};
use crate::strikes::{Namer, Trust};
use crate::time::{BEFORE_ALL, Millis, Now};
use crate::window::{Columns, Missed};
use guard::{KeyGuard, UnitProbe};
use partition::Partition;

/// Bytes that a closed window is counted as beyond its events: its identity and its result.
const WINDOW_BYTES: usize = 512;
/// What a topic takes by Kafka's defaults, in bytes.
const LARGEST_RESULT: usize = 1_048_588;

/// Which outputs keep the partition of their input: those with as many partitions as the source; and what fits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Per model: the largest result that its sink takes, in bytes.
    pub largest_results: Vec<usize>,
    /// Per model.
    pub sinks: Vec<bool>,
    /// Per source.
    pub late: Vec<bool>,
    /// Per source.
    pub dead_letters: Vec<bool>,
}

impl Routes {
    /// All outputs keep the partition.
    pub fn keep_all(plan: &Plan) -> Self {
        let sources = plan.sources.len();
        Self {
            largest_results: vec![LARGEST_RESULT; plan.models.len()],
            sinks: vec![true; plan.models.len()],
            late: vec![true; sources],
            dead_letters: vec![true; sources],
        }
    }
}

/// What a source's partitions share.
#[derive(Debug)]
struct SourceState {
    decoder: Decoder,
    /// The models of windows.
    models: Vec<usize>,
    /// Those that score each event.
    scorers: Vec<usize>,
    probe: UnitProbe,
    keys: KeyGuard,
    /// Whether a dead letter has been told of, in the order of `Reason::ALL`.
    told: [bool; Reason::ALL.len()],
}

/// The state of one group member.
#[derive(Debug)]
pub struct Lane {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    routes: Routes,
    log: Log,
    sources: Vec<SourceState>,
    /// By the index under which their records come.
    partitions: Vec<Option<Partition>>,
    missed: Vec<Missed>,
    /// Where the next batch of each model begins to look.
    turn: Vec<usize>,
    /// Per model: the length bucket whose turn it is, or the next one that has windows.
    turn_of_bucket: Vec<usize>,
    /// Per model: the closed windows that wait for a batch, as published last.
    waiting: Vec<usize>,
    /// Per model: which fields of the row it reads; none is all of them.
    picks: Vec<Option<Vec<usize>>>,
    /// Per model: the same of the context.
    context_picks: Vec<Option<Vec<usize>>>,
    /// The clock that never goes back, as it was told last.
    now: Millis,
}

impl Lane {
    /// A lane without partitions.
    pub fn new(plan: Arc<Plan>, metrics: Arc<Metrics>, routes: Routes, log: Log) -> Self {
        let sources = plan.sources.iter().enumerate().map(|(index, source)| SourceState {
            decoder: Decoder::new(source),
            models: plan.models_with(index, Unit::Window),
            scorers: plan.models_with(index, Unit::Event),
            probe: UnitProbe::new(source),
            keys: KeyGuard::new(source),
            told: Default::default(),
        });
        let picks = plan.models.iter().map(|model| pick(&model.fields, &plan.sources[model.source].fields));
        let context_picks =
            plan.models.iter().map(|model| pick(&model.context, &plan.sources[model.source].context));
        Self {
            sources: sources.collect(),
            partitions: Vec::new(),
            missed: Vec::new(),
            turn: vec![0; plan.models.len()],
            turn_of_bucket: vec![0; plan.models.len()],
            waiting: vec![0; plan.models.len()],
            picks: picks.collect(),
            context_picks: context_picks.collect(),
            now: BEFORE_ALL,
            plan,
            metrics,
            routes,
            log,
        }
    }

    /// Takes one record of the partition at `index`.
    #[inline]
    pub fn ingest(&mut self, index: usize, record: &RawRecord<'_>, now: Now) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(index).and_then(Option::as_mut) else { return Ok(()) };
        if record.offset < partition.next {
            partition.below_expected += 1;
            return Ok(());
        }
        partition.next = record.offset + 1;
        partition.last_record = now.mono;
        partition.consumed += 1;
        let SourceState { decoder, probe, keys, models, .. } = &mut self.sources[partition.source];
        match decoder.decode(record) {
            #[cfg(feature = "fault")]
            Ok(_) if fault::is(Mutant::DropEvent) && fault::memory::one_in(10_000) => {}
            Ok(event) => {
                probe.see(event.time, record.timestamp)?;
                let (windows, missed) = (&mut partition.windows, &mut self.missed);
                let closed =
                    windows.insert(event.key, event.time, event.row, event.context, record.offset, missed);
                // A key that has events here has been looked at.
                if windows.new_key() || record.key.is_none() {
                    keys.see(event.key, record, &partition.id)?;
                }
                // One branch for both: where no event is scored, windows are not to cost more.
                if closed.windows + partition.singles.len() > 0 {
                    partition.closed(closed, &self.metrics);
                    partition.score(&event, record.offset, now.mono, &self.metrics);
                }
                if !self.missed.is_empty() {
                    self.metrics.observer.late(event.key, event.time, &self.missed, |place| models[place]);
                    self.late(index, record, now);
                }
            }
            Err(rejected) => {
                if let Some(time) = rejected.time {
                    probe.see(time, record.timestamp)?;
                }
                self.dead_letter(index, record, &rejected, now);
            }
        }
        Ok(())
    }

    /// Closed windows of a model that wait for a batch, or events that are to wait no more.
    pub fn ready(&self, model: usize) -> usize {
        if self.scores(model) {
            return self.scores_due(model);
        }
        let source = self.plan.models[model].source;
        let place = self.place_of(model);
        let mine = self.partitions.iter().flatten().filter(|partition| partition.source == source);
        mine.map(|partition| partition.windows.ready(place)).sum()
    }

    /// Gathers closed windows of a length bucket of a model, or events, into a batch of this size at the most.
    pub fn batch(&mut self, model: usize, bucket: usize, size: Size) -> Option<Batch> {
        if self.scores(model) {
            return self.score_batch(model, size);
        }
        let Size { windows: mut wanted, events: mut room } = size;
        wanted = wanted.min(self.ready(model));
        if wanted == 0 {
            return None;
        }
        self.turn_of_bucket[model] = bucket + 1;
        let config = &self.plan.models[model];
        let place = (self.place_of(model), bucket);
        let width = config.fields.len();
        let mut batch = Batch { model, values: Values::new(config.dtype), ..Batch::default() };
        batch.windows.reserve_exact(wanted);
        batch.row_splits.reserve_exact(wanted + 1);
        batch.row_splits.push(0);
        if config.timestamps {
            batch.timestamps = Some(Vec::new());
        }
        if !config.context.is_empty() {
            batch.contexts = Some(Vec::with_capacity(wanted));
        }
        let slots = self.partitions.len();
        for step in 0..slots {
            let index = (self.turn[model] + step) % slots;
            let Some(partition) = self.partitions[index].as_mut() else { continue };
            if partition.source != config.source || wanted == 0 {
                continue;
            }
            let (mut count, mut events) = partition.windows.ready_within(place, wanted, room);
            // A single window is taken whatever it holds.
            if let Some(next) = partition.windows.next_events(place)
                && count == 0
                && batch.windows.is_empty()
            {
                (count, events) = (1, next);
            }
            if count == 0 {
                continue;
            }
            batch.values.reserve_exact(events * width);
            if let Some(times) = batch.timestamps.as_mut() {
                times.reserve_exact(events);
            }
            let (assignment, number) = (partition.assignment, partition.id.partition);
            let strikes = &partition.strikes;
            let Batch { windows, values, row_splits, timestamps, contexts, .. } = &mut batch;
            let mut columns = Columns {
                times: timestamps.as_mut(),
                values,
                pick: self.picks[model].as_deref(),
                contexts: contexts.as_mut(),
                pick_context: self.context_picks[model].as_deref(),
            };
            partition.windows.gather(place, count, &mut columns, |buffer, closed| {
                let events = closed.range.len;
                row_splits.push(row_splits.last().copied().unwrap_or(0) + events as i64);
                let mut window = WindowMeta {
                    assignment,
                    epoch: closed.epoch,
                    partition: number,
                    key: buffer.name(closed.range.key),
                    start: closed.range.start,
                    end: closed.range.end,
                    events,
                    offsets: closed.offsets,
                    trust: Trust::Full,
                };
                if !strikes.is_empty() {
                    window.trust = strikes.judge(&Namer::new(&self.plan, model), &window);
                }
                windows.push(window);
            });
            wanted -= count;
            room = room.saturating_sub(events);
        }
        self.turn[model] = (self.turn[model] + 1) % slots.max(1);
        (!batch.is_empty()).then_some(batch)
    }

    /// Closed windows of a model by length bucket, in the order of their turns, or events that are to wait no more.
    pub fn waiting(&self, model: usize, out: &mut Vec<Waiting>) {
        out.clear();
        if self.scores(model) {
            out.extend(self.scores_waiting(model));
            return;
        }
        let (source, place) = (self.plan.models[model].source, self.place_of(model));
        let mine = self.partitions.iter().flatten().filter(|partition| partition.source == source);
        for (bucket, windows, uncut) in mine.flat_map(|partition| partition.windows.waiting(place)) {
            match out.binary_search_by_key(&bucket, |one| one.bucket) {
                Ok(index) => {
                    out[index].windows += windows;
                    out[index].uncut += uncut;
                }
                Err(index) => out.insert(index, Waiting { bucket, windows, uncut }),
            }
        }
        let turn = out.partition_point(|one| one.bucket < self.turn_of_bucket[model]);
        out.rotate_left(turn);
    }

    /// The place of a model among those of its source that are of windows.
    fn place_of(&self, model: usize) -> usize {
        let source = &self.sources[self.plan.models[model].source];
        source.models.iter().position(|other| *other == model).unwrap_or(0)
    }

    /// Sends an event that came too late to the late topic, once per model that wants it.
    fn late(&mut self, index: usize, record: &RawRecord<'_>, now: Now) {
        let Some(partition) = self.partitions[index].as_mut() else { return };
        let source = &self.sources[partition.source];
        for missed in self.missed.drain(..) {
            let model = &self.plan.models[source.models[missed.model]];
            partition.late.see(&missed, model.size_ms);
            if model.late == Late::Drop {
                continue;
            }
            let windows = format!("{}/{}/{}", missed.first_start, missed.last_start, missed.count);
            let mut headers = vec![
                ("model", model.name.clone().into_bytes()),
                ("windows-missed", windows.into_bytes()),
                ("watermark", missed.watermark.to_string().into_bytes()),
            ];
            headers.extend(origin(partition, record));
            let keep = self.routes.late[partition.source];
            partition.output(
                copy(record, Stream::Late, keep.then_some(partition.id.partition), headers, now),
                &self.metrics,
            );
        }
    }

    fn dead_letter(&mut self, index: usize, record: &RawRecord<'_>, rejected: &Rejected, now: Now) {
        let Some(partition) = self.partitions[index].as_mut() else { return };
        self.metrics.sources[partition.source].dead_letter(rejected.reason);
        let told = &mut self.sources[partition.source].told[rejected.reason as usize];
        if !std::mem::replace(told, true) {
            let text = format!(
                "{} offset {} is no event: {}: {}. It goes to topic {:?}, and so do others like it, counted and not told of \
                 again: correct what the Topic declares, or what is sent, and then `millstream dlq replay`",
                partition.id, record.offset, rejected.reason, rejected.detail, self.plan.dead_letter_topic
            );
            self.log.warning("ingest", Said::from(text).partition(&partition.id).offset(record.offset));
        }
        let mut headers = vec![
            ("reason", rejected.reason.code().as_bytes().to_vec()),
            ("detail", rejected.detail.clone().into_bytes()),
        ];
        headers.extend(origin(partition, record));
        let keep = self.routes.dead_letters[partition.source];
        let output = copy(record, Stream::DeadLetter, keep.then_some(partition.id.partition), headers, now);
        partition.output(output, &self.metrics);
    }

    /// In-flight bytes of the epochs that have not ended.
    pub fn uncut_bytes(&self) -> usize {
        self.partitions.iter().flatten().map(Partition::uncut_bytes).sum()
    }

    /// The highest clock of all partitions.
    pub fn latest_clock(&self) -> Millis {
        self.partitions
            .iter()
            .flatten()
            .map(|partition| partition.windows.clock())
            .max()
            .unwrap_or(BEFORE_ALL)
    }

    /// Adds up what partitions have counted since the last call, and says where they stand.
    pub fn publish(&mut self) {
        for partition in self.partitions.iter_mut().flatten() {
            let SourceState { models, scorers, .. } = &self.sources[partition.source];
            partition.publish(models, scorers, &self.metrics);
        }
        for model in 0..self.waiting.len() {
            let now = self.ready(model);
            let before = std::mem::replace(&mut self.waiting[model], now);
            // It wraps: fewer than before add the complement.
            let more = now.wrapping_sub(before);
            self.metrics.models[model].windows_waiting.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Counts the open windows of each partition where it is time to.
    pub fn count_open(&mut self, now: Now) {
        for partition in self.partitions.iter_mut().flatten() {
            partition.open.count(&partition.windows, now);
        }
    }

    /// Warns of models for which too much is late. To be called about once a minute.
    pub fn warn_of_lateness(&mut self) {
        for partition in self.partitions.iter_mut().flatten() {
            let models = &self.sources[partition.source].models;
            partition.late.warn(models, &self.plan, &partition.id, &self.log);
        }
    }
}

/// Where the fields of a model stand among those of its source; none is as they are.
fn pick(mine: &[String], source: &[String]) -> Option<Vec<usize>> {
    let places = mine.iter().filter_map(|name| source.iter().position(|field| field == name));
    (mine != source).then(|| places.collect())
}

fn origin(partition: &Partition, record: &RawRecord<'_>) -> [(&'static str, Vec<u8>); 3] {
    [
        ("topic", partition.id.topic.as_bytes().to_vec()),
        ("partition", partition.id.partition.to_string().into_bytes()),
        ("offset", record.offset.to_string().into_bytes()),
    ]
}

/// The record with its own key and value bytes, for another topic.
fn copy(
    record: &RawRecord<'_>,
    stream: Stream,
    partition: Option<i32>,
    headers: Vec<(&'static str, Vec<u8>)>,
    now: Now,
) -> OutRecord {
    OutRecord {
        stream,
        partition,
        key: record.key.map(Key::from),
        value: record.value.map(<[u8]>::to_vec),
        timestamp: record.timestamp.unwrap_or(now.wall).max(0),
        headers: Headers::Named(headers),
    }
}
