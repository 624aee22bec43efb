//! All stages together, on threads: one pool per model, and per lane an ingest and a sink thread.
//! Shutdown is by ownership: the ingest thread gives up its ends of the channels, the workers finish what runs and give
//! up theirs, and the sink thread, with no sender left, commits once more and ends.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::clock;
use crate::commit::{Board, SinkStage, ToSink};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::ingest::{Ingest, Links, Stages, Until};
use crate::lane::Lane;
use crate::log::Log;
use crate::predict::{Batcher, Bounds, Jobs, Model, Pool, Predictor, WAITING, Watch};
use crate::shared::Shared;
use crate::sink::Sink;
use crate::source::Source;
use crate::time::{Millis, Now};

/// Messages that wait for a sink stage at the most.
const SINK_QUEUE: usize = 1024;
/// How long an abort waits for threads before it leaves those behind that a model holds.
const ABORT: Duration = Duration::from_secs(2);
/// Between two looks at whether they have ended. They are counted: while the process, or its machine, stands still,
/// nothing can end.
const LOOK: Duration = Duration::from_millis(1);

/// A run on its threads.
pub struct Running {
    control: Control,
    log: Log,
    threads: Vec<JoinHandle<()>>,
    watches: Vec<Arc<Watch>>,
    ended: Receiver<()>,
    left: usize,
}

/// Starts the pools and the lanes. `connect` makes the two ends of a lane, on its own thread.
pub fn start<S, K, F>(shared: &Shared, models: &[Arc<dyn Model>], connect: F) -> Result<Running>
where
    S: Source + 'static,
    K: Sink + Send + 'static,
    F: Fn(usize) -> Result<(S, K)> + Clone + Send + 'static,
{
    let started = start_threads(shared, models, connect);
    if started.is_err() {
        // Those that have started end by it.
        shared.control.abort();
    }
    started
}

fn start_threads<S, K, F>(shared: &Shared, models: &[Arc<dyn Model>], connect: F) -> Result<Running>
where
    S: Source + 'static,
    K: Sink + Send + 'static,
    F: Fn(usize) -> Result<(S, K)> + Clone + Send + 'static,
{
    let Shared { plan, control, .. } = shared;
    let mut threads = Vec::new();
    let mut jobs = Vec::new();
    let mut watches = Vec::new();
    for warning in plan.warnings() {
        shared.log.warning("run", warning);
    }
    for (index, model) in models.iter().enumerate() {
        let config = &plan.models[index];
        let batcher = Batcher::of(config, Bounds::of(config, WAITING));
        let pool = Pool::start(config, &Predictor::new(shared, index, model.clone(), batcher), control)?;
        jobs.push(pool.jobs());
        watches.push(pool.watch());
        threads.extend(pool.into_workers());
    }
    let (end, ended) = bounded(plan.lanes);
    for lane in 0..plan.lanes {
        let (shared, jobs, connect, end) = (shared.clone(), jobs.clone(), connect.clone(), end.clone());
        let name = format!("millstream-ingest-{lane}");
        threads.push(spawn(&name, &shared.control.clone(), move || {
            let outcome = run_lane(&shared, lane, jobs, &connect);
            // The main thread may have given up waiting.
            let _ = end.try_send(());
            outcome
        })?);
    }
    Ok(Running {
        control: control.clone(),
        log: shared.log.clone(),
        threads,
        watches,
        ended,
        left: plan.lanes,
    })
}

impl Running {
    /// Waits for the lanes to end, `timeout` at the most. True once they all have.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        for watch in &self.watches {
            watch.look(&self.log, &self.control);
        }
        if self.left > 0 {
            match self.ended.recv_timeout(timeout) {
                Ok(()) => self.left -= 1,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                // A lane thread that panicked has dropped its end.
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => self.left = 0,
            }
        }
        self.left == 0
    }

    /// Joins all threads, and returns what ended the run if it was an error. A thread that a model holds is left
    /// behind once the run is aborted: it ends when the call does.
    pub fn join(self) -> Result<()> {
        let mut threads = self.threads;
        let mut looks = looks();
        loop {
            threads.retain(|thread| !thread.is_finished());
            if threads.is_empty() {
                break;
            }
            if self.control.aborting() && looks.next().is_none() {
                let names: Vec<_> =
                    threads.iter().filter_map(|t| t.thread().name().map(str::to_owned)).collect();
                self.log.warning(
                    "run",
                    format!("left behind in a call that does not return: {}", names.join(", ")),
                );
                break;
            }
            std::thread::sleep(LOOK);
        }
        self.control.take_error().map_or(Ok(()), Err)
    }
}

/// The looks of an abort.
fn looks() -> Range<u128> {
    0..ABORT.as_millis() / LOOK.as_millis()
}

fn spawn(
    name: &str,
    control: &Control,
    body: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<JoinHandle<()>> {
    let (thread, control) = (name.to_owned(), control.clone());
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || control.guard(&thread, body))
        .map_err(|error| Error::config(format!("thread {name} could not be started: {error}")))
}

fn run_lane<S, K>(
    shared: &Shared,
    lane: usize,
    jobs: Vec<Jobs>,
    connect: &impl Fn(usize) -> Result<(S, K)>,
) -> Result<()>
where
    S: Source,
    K: Sink + Send + 'static,
{
    let Shared { plan, metrics, log, control, routes, until_end, .. } = shared;
    let (source, sink) = match connect(lane) {
        Ok(ends) => ends,
        // A stop that comes while the cluster is waited for has nothing to finish.
        Err(Error::Kafka(_)) if control.stopping() => return Ok(()),
        Err(error) => return Err(error),
    };
    let (to_sink, messages) = bounded::<ToSink>(SINK_QUEUE);
    let board = Board::default();
    let stage = SinkStage::new(sink, board.clone(), metrics.clone());
    let sink_control = control.clone();
    let committing =
        spawn(&format!("millstream-sink-{lane}"), control, move || stage.run(&messages, &sink_control))?;

    let windows = Lane::new(plan.clone(), metrics.clone(), routes.clone(), log.clone());
    let links = Links { jobs, sink: to_sink, board };
    let mut ingest = Ingest::new(shared, source, windows, links, Stages::Threads);
    if let Some(drain) = until_end {
        ingest.run_until(Until::end(plan.sources.len(), *drain));
    }
    let clock = Clock::start();
    let outcome = until_stopped(&mut ingest, &clock, control);
    match outcome {
        Err(Error::Kafka(text)) if control.stopping() => {
            log.warning("run", format!("while stopping: {text}"));
        }
        Err(error) => control.fail(error),
        Ok(()) => {}
    }
    // Every end of the channels goes, so that the workers and then the sink stage end.
    let mut source = ingest.into_source();
    while !committing.is_finished() && !control.aborting() {
        source.idle();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut looks = looks();
    while !committing.is_finished() && looks.next().is_some() {
        std::thread::sleep(LOOK);
    }
    source.close();
    Ok(())
}

fn until_stopped<S: Source>(ingest: &mut Ingest<S>, clock: &Clock, control: &Control) -> Result<()> {
    while !control.stopping() {
        if ingest.step(clock.now())? {
            return Ok(());
        }
    }
    if control.aborting() { Ok(()) } else { ingest.finish(clock.now()) }
}

/// The clocks of this machine.
struct Clock {
    began: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now() }
    }

    fn now(&self) -> Now {
        let wall = clock::wall();
        Now { mono: self.began.elapsed().as_millis() as Millis, wall }
    }
}
