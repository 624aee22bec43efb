//! The same engine without a broker and without threads, on a virtual clock: what `app.test` runs on.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::commit::{Board, SinkStage, ToSink};
use crate::config::Plan;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::ingest::{Ingest, LONGEST_EPOCH, Links, Stages, Until};
use crate::lane::{Lane, Routes};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::predict::{Batcher, Bounds, Job, Jobs, Model, Pace, Predictor};
use crate::shared::Shared;
use crate::sink::{MemoryLog, MemoryRecord, MemorySink, Sink};
use crate::source::MemorySource;
use crate::time::{BEFORE_ALL, MAX_TIME, Millis, Now};

/// What a topic is fed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record of a partition.
    Record(usize, MemoryRecord),
    /// The virtual clock moves on.
    Advance(Millis),
}

/// An app on memory.
pub struct Offline<K = MemorySink> {
    log: MemoryLog,
    ingest: Ingest<MemorySource>,
    stage: SinkStage<K>,
    jobs: Vec<Receiver<Job>>,
    messages: Receiver<ToSink>,
    predictors: Vec<Predictor>,
    now: Now,
    sources: usize,
    epoch: Millis,
}

impl Offline {
    /// An app that reads and writes `log`; it polls at most `batch` records of a partition at a time.
    pub fn new(
        plan: &Arc<Plan>,
        models: &[Arc<dyn Model>],
        metrics: &Arc<Metrics>,
        says: &Log,
        log: MemoryLog,
        batch: usize,
    ) -> Self {
        let sink = MemorySink::new(plan.clone(), log.clone());
        let shared = Shared {
            plan: plan.clone(),
            metrics: metrics.clone(),
            log: says.clone(),
            control: Control::default(),
            routes: Routes::keep_all(plan),
            adopt: false,
            until_end: None,
        };
        Self::with_sink(&shared, models, log, batch, sink)
    }
}

impl<K: Sink> Offline<K> {
    /// The same, with a sink of one's own.
    pub fn with_sink(
        shared: &Shared,
        models: &[Arc<dyn Model>],
        log: MemoryLog,
        batch: usize,
        end: K,
    ) -> Self {
        let Shared { plan, metrics, .. } = shared;
        let (sink, messages) = bounded(1 << 16);
        let predictors: Vec<Predictor> = models
            .iter()
            .zip(&plan.models)
            .enumerate()
            .map(|(index, (model, config))| {
                // What calls take must not decide anything here: a test is to be the same each time.
                let batcher = Batcher::fixed(Bounds::of(config, 1));
                Predictor::new(shared, index, model.clone(), batcher)
            })
            .collect();
        let queues = plan.models.iter().zip(&predictors);
        let (senders, jobs): (Vec<_>, Vec<_>) =
            queues.map(|(config, predictor)| Jobs::queue(&Bounds::of(config, 1), predictor.load())).unzip();
        let board = Board::default();
        let topics = plan.sources.iter().map(|source| source.topic.clone()).collect();
        let lane = Lane::new(plan.clone(), metrics.clone(), shared.routes.clone(), shared.log.clone());
        let source = MemorySource::new(log.clone(), topics, batch);
        let links = Links { jobs: senders, sink, board: board.clone() };
        let ingest = Ingest::new(shared, source, lane, links, Stages::Inline);
        Self {
            ingest,
            stage: SinkStage::new(end, board, metrics.clone()),
            jobs,
            messages,
            predictors,
            now: Now { mono: -MAX_TIME, wall: -MAX_TIME },
            log,
            sources: plan.sources.len(),
            epoch: plan.epoch_ms.unwrap_or(LONGEST_EPOCH),
        }
    }

    /// The virtual clock.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Moves the virtual clock on.
    pub fn advance(&mut self, by: Millis) {
        self.now = Now { mono: self.now.mono + by, wall: self.now.wall + by };
    }

    /// Takes in what is there, and raises the clock to the events' time. True when everything asked for is done.
    pub fn ingest(&mut self) -> Result<bool> {
        let done = self.ingest.step(self.now)?;
        let latest = self.ingest.latest_clock();
        if latest != BEFORE_ALL && latest > self.now.wall {
            self.now = Now { mono: latest, wall: latest };
        }
        Ok(done)
    }

    /// Calls the models with the batches that wait, and lets go of what a breaker has held long enough; returns how
    /// many there were.
    pub fn predict(&mut self) -> Result<usize> {
        self.take_messages();
        let mut calls = 0;
        for (jobs, predictor) in self.jobs.iter().zip(&self.predictors) {
            calls += usize::from(predictor.release_due(self.now.mono));
            for job in jobs.try_iter() {
                predictor.answer(0, job, &self.now)?;
                calls += 1;
            }
        }
        self.take_messages();
        Ok(calls)
    }

    /// Commits what is complete; returns whether there was anything.
    pub fn commit(&mut self) -> Result<bool> {
        self.take_messages();
        self.stage.commit()
    }

    fn take_messages(&mut self) {
        for message in self.messages.try_iter() {
            self.stage.take(message);
        }
    }

    /// Everything until nothing more happens at this time.
    pub fn settle(&mut self) -> Result<bool> {
        loop {
            let before = self.now;
            let done = self.ingest()?;
            let calls = self.predict()?;
            let committed = self.commit()?;
            let quiet = calls == 0 && !committed && before == self.now;
            if done || (quiet && self.ingest.caught_up()?) {
                return Ok(done);
            }
        }
    }

    /// From now on, `ingest` is done when everything that is there is committed, and what is open drained if asked to.
    pub fn run_until(&mut self, drain: bool) {
        self.ingest.run_until(Until::end(self.sources, drain));
    }

    /// Feeds topics in order, each front to back, then processes everything. The log holds what came of it.
    pub fn feed(&mut self, topics: Vec<(String, Vec<Item>)>, drain: bool) -> Result<()> {
        // The assignment comes before the first record.
        self.settle()?;
        for (topic, items) in topics {
            for item in items {
                match item {
                    Item::Record(partition, record) => self.log.append(&topic, partition, record),
                    Item::Advance(by) => self.advance(by),
                }
                self.settle()?;
            }
        }
        self.run_until(drain);
        while !self.settle()? {
            self.advance(self.epoch);
        }
        Ok(())
    }
}

/// Virtual time does not pass while a model is called.
impl Pace for Now {
    fn now(&self) -> Millis {
        self.mono
    }

    fn sleep(&self, _time: Duration) {}

    fn ending(&self) -> bool {
        false
    }
}

/// Makes the topics of an app for what it is to be fed with: a topic has 1 + the highest partition named.
pub fn create_topics(plan: &Plan, topics: &[(String, Vec<Item>)], log: &MemoryLog) -> Result<()> {
    for (topic, items) in topics {
        if !plan.sources.iter().any(|source| source.topic == *topic) {
            return Err(Error::config(format!("topic {topic:?} is not a source of app {:?}", plan.name)));
        }
        let named = items.iter().filter_map(|item| match item {
            Item::Record(partition, _) => Some(partition + 1),
            Item::Advance(_) => None,
        });
        log.create(topic, named.max().unwrap_or(1));
    }
    for source in plan.sources_in_order() {
        let topic = &plan.sources[source].topic;
        log.create(topic, 1);
        let partitions = log.ends(topic).len();
        for model in plan.models_of(source) {
            log.create(&plan.models[model].sink, partitions);
        }
    }
    Ok(())
}
