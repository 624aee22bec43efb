//! The ingest stage of a lane: takes records, hands out batches, cuts epochs, follows the assignment. It never runs a
//! model and never waits for one: above the in-flight limit it pauses the partitions and goes on polling.

mod assignment;
mod flow;
mod pace;
mod until;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::commit::{Board, ToSink};
use crate::config::Plan;
use crate::control::Control;
use crate::epoch::Cut;
use crate::error::Result;
use crate::fault::{self, Point};
use crate::lane::{Lane, Restoring, Standing};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::observe::Question;
use crate::predict::{Job, Jobs, Waiting};
use crate::record::TopicPartition;
use crate::shared::Shared;
use crate::source::Source;
use crate::time::{Millis, Now};
use assignment::{Slot, SlotState};
use flow::Flow;
use pace::{Due, Pace, is_much};
pub use until::Until;

pub(crate) use pace::LONGEST as LONGEST_EPOCH;

/// How long a poll waits for a full batch of records.
const POLL: Duration = Duration::from_millis(5);
/// The same while closed windows wait for room in a pool.
const SOON: Duration = Duration::from_millis(1);
/// Between two looks at lateness and retention.
const WARN_MS: Millis = 60_000;

/// How the stages of a lane are driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Each on a thread of its own, so are restores.
    Threads,
    /// All on one thread, in turn: none of them may wait for another.
    Inline,
}

/// How far a lane has come with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    No,
    /// It has been given an assignment.
    Assigned,
    /// It has once been caught up with all of it.
    CaughtUp,
}

/// The parts of a lane that the ingest stage speaks to.
#[derive(Debug)]
pub struct Links {
    /// Jobs of each model.
    pub jobs: Vec<Jobs>,
    /// The sink stage.
    pub sink: Sender<ToSink>,
    /// What it has committed.
    pub board: Board,
}

/// Drives one lane.
#[derive(Debug)]
pub struct Ingest<S: Source> {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    log: Log,
    control: Control,
    source: S,
    lane: Lane,
    links: Links,
    /// A batch that its pool had no room for after all.
    held: Vec<Option<Job>>,
    /// What waits for one model, as it was looked at last.
    waiting: Vec<Waiting>,
    /// Cuts that the sink stage had no room for: none is made while one waits.
    cuts: VecDeque<Cut>,
    slots: Vec<Option<Slot>>,
    assignments: u64,
    /// How often it has begun again.
    resets: u64,
    joined: Joined,
    questions: Receiver<Question>,
    stages: Stages,
    /// Whether a changed app is taken on where the group stands.
    adopt: bool,
    restorers: Vec<JoinHandle<()>>,
    /// Whether restores are to end.
    given_up: Arc<AtomicBool>,
    /// State read back at once, and on a restore thread.
    read_back: VecDeque<Restored>,
    restored: (Sender<Restored>, Receiver<Restored>),
    paused: bool,
    flow: Flow,
    pace: Pace,
    warned_at: Option<Millis>,
    until: Option<Until>,
}

/// State that has been read back for an assignment.
type Restored = (u64, Result<Restoring>);

impl<S: Source> Ingest<S> {
    /// A stage that reads `source`.
    pub fn new(shared: &Shared, source: S, lane: Lane, links: Links, stages: Stages) -> Self {
        let Shared { plan, metrics, control, adopt, .. } = shared.clone();
        let log = lane.log().clone();
        let questions = metrics.observer.lane();
        let held = links.jobs.iter().map(|_| None).collect();
        Self {
            pace: Pace::new(&plan),
            plan,
            metrics,
            log,
            control,
            source,
            lane,
            links,
            held,
            waiting: Vec::new(),
            cuts: VecDeque::new(),
            slots: Vec::new(),
            assignments: 0,
            resets: 0,
            joined: Joined::No,
            questions,
            stages,
            adopt,
            restorers: Vec::new(),
            given_up: Arc::default(),
            read_back: VecDeque::new(),
            restored: bounded(64),
            paused: false,
            // What calls take must not decide anything where all is on one thread: a test is to be the same each time.
            flow: if stages == Stages::Inline { Flow::unbounded() } else { Flow::new() },
            warned_at: None,
            until: None,
        }
    }

    /// From now on, the run ends when this is reached.
    pub fn run_until(&mut self, until: Until) {
        self.until = Some(until);
        self.pace.hurry();
    }

    /// Whether every assigned partition has been read to its end, and nothing waits to be handed on.
    pub fn caught_up(&mut self) -> Result<bool> {
        let mut all = self.joined != Joined::No && self.cuts.is_empty();
        for index in 0..self.slots.len() {
            let standing = self.standing(index)?;
            all &= self.slots[index].is_none() || standing.is_some_and(|standing| standing.caught_up);
        }
        Ok(all)
    }

    /// The highest clock of all partitions.
    pub fn latest_clock(&self) -> Millis {
        self.lane.latest_clock()
    }

    /// One round: records, assignment, batches, epochs. True when everything that was asked for is done.
    pub fn step(&mut self, now: Now) -> Result<bool> {
        self.lane.at(now);
        // Closed windows that found no room are offered again soon.
        let wait = if self.windows_wait() { SOON } else { POLL };
        let (lane, mut taken) = (&mut self.lane, 0);
        self.source.poll(wait, self.flow.most(), &mut |index, record| {
            taken += 1;
            lane.ingest(index, &record, now)
        })?;
        fault::at(Point::AfterPoll);
        if let Ok(question) = self.questions.try_recv() {
            // Who asked may have given up.
            let _ = question.reply.try_send(self.lane.look(&question.key));
        }
        #[cfg(feature = "fault")]
        self.lane.expose();
        if self.links.board.resets() != self.resets {
            self.resets = self.links.board.resets();
            self.begin_again(now)?;
        }
        self.follow_assignment(now)?;
        self.dispatch();
        self.lane.watch_state(now)?;
        let work = self.work();
        self.flow.polled(taken, work);
        self.backpressure(work, now)?;
        self.send_cuts();
        if !self.epoch_ends(work, now)? {
            return Ok(false);
        }
        self.end_epoch(now)?;
        self.lane.publish();
        self.lane.count_open(now);
        if self.joined == Joined::Assigned && self.caught_up()? {
            self.joined = Joined::CaughtUp;
            self.metrics.lanes_ready.add(1);
        }
        if self.warned_at.is_none_or(|at| now.mono - at >= WARN_MS) {
            self.warned_at = Some(now.mono);
            self.lane.warn_of_lateness();
            self.warn_of_retention()?;
        }
        self.reached_end(now)
    }

    /// The last act of a run: what has closed so far becomes an epoch, so that one commit can take it.
    pub fn finish(&mut self, now: Now) -> Result<()> {
        for index in 0..self.slots.len() {
            if let Some(standing) = self.standing(index)? {
                let cut = self.lane.cut(index, standing, true, now);
                self.cuts.extend(cut);
            }
        }
        self.lane.publish();
        for cut in self.cuts.drain(..) {
            // The sink stage ends only after this thread, or with the run.
            if self.links.sink.send_timeout(ToSink::Cut(cut), Duration::from_secs(1)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Gives up the ends of all channels, waits for restores, and hands back the source.
    pub fn into_source(self) -> S {
        // A restore that is still under way is for nothing now.
        self.given_up.store(true, Ordering::Release);
        drop(self.restored);
        for restorer in self.restorers {
            // A panic has been caught and told by the guard.
            let _ = restorer.join();
        }
        self.source
    }

    fn windows_wait(&self) -> bool {
        (0..self.links.jobs.len()).any(|model| self.held[model].is_some() || self.lane.ready(model) > 0)
    }

    /// Hands closed windows to the pools as long as they have room.
    fn dispatch(&mut self) {
        for model in 0..self.links.jobs.len() {
            loop {
                let jobs = &self.links.jobs[model];
                let job = if let Some(job) = self.held[model].take() {
                    job
                } else {
                    self.lane.waiting(model, &mut self.waiting);
                    let next = jobs.next(&self.waiting);
                    let Some(batch) = next.and_then(|(bucket, size)| self.lane.batch(model, bucket, size))
                    else {
                        break;
                    };
                    Job { batch, reply: self.links.sink.clone() }
                };
                let queued = &self.metrics.models[model].windows_queued;
                let windows = job.batch.len();
                queued.fetch_add(windows, Ordering::Relaxed);
                if let Err(unsent) = jobs.send(job) {
                    queued.fetch_sub(windows, Ordering::Relaxed);
                    // Workers that have ended have said why.
                    if let TrySendError::Full(job) = *unsent {
                        self.held[model] = Some(job);
                    }
                    break;
                }
            }
        }
    }

    /// What is left to predict of the epoch that has not ended, by what it may have: the most of all models.
    fn work(&mut self) -> Option<f64> {
        if self.stages == Stages::Inline {
            return None;
        }
        let mut most: Option<f64> = None;
        for (model, jobs) in self.links.jobs.iter().enumerate() {
            self.lane.waiting(model, &mut self.waiting);
            if let Some(work) = jobs.work(&self.waiting) {
                most = Some(most.map_or(work, |most| most.max(work)));
            }
        }
        // The lanes share the workers.
        most.map(|work| work * self.plan.lanes as f64)
    }

    fn backpressure(&mut self, work: Option<f64>, now: Now) -> Result<()> {
        let (inflight, limit) = (self.metrics.inflight.get(), self.plan.max_inflight_bytes);
        let full = if self.paused { inflight > limit / 2 } else { inflight > limit };
        // Where the sink stage has no room for more epochs, this one would hold all that is still to come.
        let pause = full || !self.cuts.is_empty() && is_much(work);
        if pause != self.paused {
            self.paused = pause;
            self.metrics.paused.store(pause, Ordering::Relaxed);
            self.source.pause(pause)?;
            let text = match (pause, full) {
                (true, false) => "paused: the models have hundreds of epochs before them,",
                (true, true) => "paused:",
                (false, _) => "resumed:",
            };
            let held = format!("{inflight} bytes in flight, max_inflight_bytes is {limit}");
            self.log.info("ingest", format!("consumption {text} {held}"));
        }
        if self.paused {
            self.lane.not_idle(now);
        }
        Ok(())
    }

    fn epoch_ends(&mut self, work: Option<f64>, now: Now) -> Result<bool> {
        let ends = match self.pace.due(now, self.lane.uncut_bytes(), work) {
            Due::No => false,
            Due::Yes => true,
            Due::IfIdle => self.caught_up()? && self.all_committed(),
        };
        if ends {
            self.pace.ended(now);
        }
        Ok(ends)
    }

    /// Whether every epoch that has ended is committed.
    fn all_committed(&self) -> bool {
        self.occupied().all(|(index, slot)| {
            let committed = self.links.board.get(slot.assignment).map(|(epoch, _)| epoch);
            self.lane.last_cut(index) <= committed
        })
    }

    /// Ends the epochs that are due, and lets the clocks of idle partitions rise.
    fn end_epoch(&mut self, now: Now) -> Result<()> {
        if !self.cuts.is_empty() {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            let Some(standing) = self.standing(index)? else { continue };
            // What a run until the end has to commit is settled once a partition has reached it.
            let settled = self.until.as_ref().is_some_and(|until| until.settled(self.slots[index].as_ref()));
            let idle = if settled { None } else { self.lane.idle(index, standing, now) };
            let cut = idle.or_else(|| self.lane.cut(index, standing, false, now));
            self.cuts.extend(cut);
        }
        if !self.cuts.is_empty() {
            fault::at(Point::AfterCut);
        }
        self.send_cuts();
        Ok(())
    }

    fn send_cuts(&mut self) {
        while let Some(cut) = self.cuts.pop_front() {
            if let Err(TrySendError::Full(ToSink::Cut(cut))) = self.links.sink.try_send(ToSink::Cut(cut)) {
                self.cuts.push_front(cut);
                break;
            }
        }
    }

    /// How far a partition has been read, once everything in hand is processed. None where it is not live.
    fn standing(&mut self, index: usize) -> Result<Option<Standing>> {
        let Some(slot) = self.slots[index].as_ref().filter(|slot| slot.state == SlotState::Live) else {
            return Ok(None);
        };
        let position = self.source.position(&slot.id)?;
        let reached = position.position.unwrap_or(slot.start.next).max(slot.start.next);
        let caught_up = position.end.is_some_and(|end| reached >= end);
        Ok(Some(Standing { end: position.end, caught_up }))
    }

    fn warn_of_retention(&mut self) -> Result<()> {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots[index].as_ref().filter(|slot| slot.state == SlotState::Live) else {
                continue;
            };
            if let Some(low) = self.source.position(&slot.id)?.low {
                self.lane.warn_of_retention(index, low);
            }
        }
        Ok(())
    }

    fn occupied(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| slot.as_ref().map(|slot| (index, slot)))
    }

    fn index_of(&self, id: &TopicPartition) -> Option<usize> {
        self.occupied().find(|(_, slot)| slot.id == *id).map(|(index, _)| index)
    }
}
