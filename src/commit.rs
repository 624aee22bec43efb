//! The sink stage of a lane: collects cuts and results by epoch, and commits what is complete, in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::clock;
use crate::control::Control;
use crate::encode::EncodedResult;
use crate::epoch::{Cut, Ledger, Part, Transaction};
use crate::error::{Error, Result};
use crate::fault::{self, Mutant};
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::record::TopicPartition;
use crate::sink::{Outcome, Sink};
use crate::strikes::Strike;

/// How long an aborted transaction waits before it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How often it is tried to remember the windows that end the run.
const TRIES: usize = 20;
const IDLE: Duration = Duration::from_millis(100);

/// What the other threads of a lane tell its sink stage.
#[derive(Debug)]
pub enum ToSink {
    /// An assignment begins.
    Assigned(u64, Committed),
    /// An epoch was cut.
    Cut(Cut),
    /// Windows were predicted.
    Predicted(Vec<EncodedResult>),
    /// A call did not return in time: remember its windows, then end the run.
    Struck(Strike),
    /// Assignments end: finish or drop what is queued of them, then say so.
    Revoked(Vec<u64>, Sender<()>),
}

/// What is committed of a partition.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// What is committed with it.
    pub metadata: String,
}

/// What the ingest thread has to know of the sink stage: the newest commit of each assignment, as (epoch, offset),
/// and how often everything had to be begun again.
#[derive(Clone, Debug, Default)]
pub struct Board {
    commits: Arc<Mutex<HashMap<u64, (u64, i64)>>>,
    resets: Arc<AtomicU64>,
}

impl Board {
    /// The newest commit of an assignment.
    pub fn get(&self, assignment: u64) -> Option<(u64, i64)> {
        self.lock().get(&assignment).copied()
    }

    /// How often the outcome of a transaction was unknown: what is queued and all state is void each time.
    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::Acquire)
    }

    fn set(&self, assignment: u64, epoch: u64, offset: i64) {
        self.lock().insert(assignment, (epoch, offset));
    }

    fn forget(&self, assignments: &[u64]) {
        self.lock().retain(|assignment, _| !assignments.contains(assignment));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (u64, i64)>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits the epochs of one lane.
#[derive(Debug)]
pub struct SinkStage<K> {
    sink: K,
    ledger: Ledger,
    /// A transaction that was aborted and is to be tried again.
    aborted: Option<Transaction>,
    /// What is committed of each assignment.
    committed: HashMap<u64, Committed>,
    struck: Option<Strike>,
    board: Board,
    metrics: Arc<Metrics>,
}

impl<K: Sink> SinkStage<K> {
    /// A stage that commits to `sink`.
    pub fn new(sink: K, board: Board, metrics: Arc<Metrics>) -> Self {
        Self {
            sink,
            ledger: Ledger::new(),
            aborted: None,
            committed: HashMap::new(),
            struck: None,
            board,
            metrics,
        }
    }

    /// Takes a message in.
    pub fn take(&mut self, message: ToSink) {
        match message {
            ToSink::Assigned(assignment, committed) => {
                self.committed.insert(assignment, committed);
                self.ledger.assign(assignment);
            }
            ToSink::Struck(strike) => {
                self.struck.get_or_insert(strike);
            }
            ToSink::Cut(cut) => {
                let ended = self.ledger.cut(cut);
                self.metrics.inflight.release(ended);
            }
            ToSink::Predicted(results) => self.ledger.results(results),
            ToSink::Revoked(assignments, done) => {
                if fault::is(Mutant::EpochsKept) {
                    let _ = done.send(());
                    return;
                }
                let queued = self.ledger.revoke(&assignments);
                let aborted =
                    self.aborted.as_mut().map_or(0, |aborted| aborted.drop_assignments(&assignments));
                self.metrics.inflight.release(queued + aborted);
                self.board.forget(&assignments);
                self.committed.retain(|assignment, _| !assignments.contains(assignment));
                // The ingest thread may have given up waiting.
                let _ = done.send(());
            }
        }
    }

    /// Commits what is complete. True when something was committed.
    pub fn commit(&mut self) -> Result<bool> {
        let transaction = self.aborted.take().filter(|aborted| !aborted.is_empty());
        let transaction = transaction.unwrap_or_else(|| self.ledger.take());
        if transaction.is_empty() {
            return Ok(false);
        }
        #[cfg(feature = "fault")]
        let transaction = fault::memory::mutated(transaction);
        let began = Instant::now();
        match self.sink.commit(&transaction)? {
            Outcome::Committed => {
                self.metrics.commit_seconds.observe(began.elapsed());
                self.committed(&transaction);
                Ok(true)
            }
            Outcome::Unknown => {
                self.metrics.transactions_unknown.add(1);
                self.begin_again(&transaction);
                Ok(false)
            }
            Outcome::Aborted => {
                self.metrics.transactions_aborted.add(1);
                self.aborted = Some(transaction);
                Ok(false)
            }
            Outcome::NotYet => {
                self.aborted = Some(transaction);
                Ok(false)
            }
        }
    }

    /// Drops all that is queued: the ingest stage reads offsets and state again.
    fn begin_again(&mut self, transaction: &Transaction) {
        let bytes: usize = transaction.parts.iter().map(|part| part.bytes).sum();
        self.metrics.inflight.release(bytes + self.ledger.revoke_all());
        self.board.lock().clear();
        self.committed.clear();
        self.board.resets.fetch_add(1, Ordering::AcqRel);
    }

    fn committed(&mut self, transaction: &Transaction) {
        let wall = clock::wall();
        for part in &transaction.parts {
            self.board.set(part.assignment, part.last_epoch, part.offset);
            let Part { partition, offset, metadata, .. } = part;
            let committed =
                Committed { partition: partition.clone(), offset: *offset, metadata: metadata.clone() };
            self.committed.insert(part.assignment, committed);
            self.metrics.inflight.release(part.bytes);
            self.metrics.epochs.add(part.epochs);
            let topic = &*part.partition.topic;
            if let Some(source) = self.metrics.sources.iter().find(|source| source.topic == topic) {
                source.set_committed(part.partition.partition, part.offset);
            }
            for ((model, fate), windows) in &part.fates {
                self.metrics.models[*model].committed(*fate, *windows);
            }
            for (end, results) in &part.ends {
                self.metrics.end_to_end_seconds.observe_ms(wall.saturating_sub(*end), *results);
            }
        }
        self.metrics.transactions.add(1);
        self.metrics.observer.committed(transaction);
    }

    /// The run is to end by a call that did not return: what is committed is committed once more, with the windows of
    /// the call in it. The state that it stands for does not change.
    pub fn strike(&mut self, strike: &Strike) -> Result<bool> {
        let alone = strike.windows.len() == 1;
        let parts = self.committed.iter().filter_map(|(assignment, committed)| {
            let mine = strike.windows.iter().filter(|window| window.assignment == *assignment);
            let windows: Vec<_> = mine.cloned().collect();
            let mut metadata = Metadata::decode(&committed.metadata).filter(|_| !windows.is_empty())?;
            metadata.extension.strikes_of(strike.namer.unit()).strike(&strike.namer, &windows, alone);
            Some(Part {
                assignment: *assignment,
                partition: committed.partition.clone(),
                offset: committed.offset,
                metadata: metadata.encode(),
                records: Vec::new(),
                bytes: 0,
                epochs: 0,
                last_epoch: 0,
                fates: BTreeMap::new(),
                ends: BTreeMap::new(),
            })
        });
        let transaction = Transaction { parts: parts.collect() };
        Ok(transaction.is_empty() || self.sink.commit(&transaction)? != Outcome::Aborted)
    }

    /// Remembers the windows of a call that did not return, and returns what ends the run.
    fn end_by(&mut self, strike: Strike, control: &Control) -> Error {
        for _ in 0..TRIES {
            match self.strike(&strike) {
                Ok(false) if !control.aborting() => std::thread::sleep(RETRY),
                // The time-out is what is told, whether it could be remembered or not.
                Ok(_) | Err(_) => break,
            }
        }
        strike.error
    }

    /// The body of the sink thread: until every sender is gone, then one last commit.
    pub fn run(mut self, messages: &Receiver<ToSink>, control: &Control) -> Result<()> {
        loop {
            let wait = if self.aborted.is_some() { RETRY } else { IDLE };
            let ended = match messages.recv_timeout(wait) {
                Ok(message) => {
                    self.take(message);
                    // Whatever is there goes into the same transaction.
                    for message in messages.try_iter() {
                        self.take(message);
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if control.aborting() {
                return Ok(());
            }
            if let Some(strike) = self.struck.take() {
                return Err(self.end_by(strike, control));
            }
            let progress = self.commit()?;
            if ended && !progress {
                if self.aborted.is_none() {
                    return Ok(());
                }
                // Nothing is left to wait for messages with.
                std::thread::sleep(RETRY);
            }
        }
    }
}
