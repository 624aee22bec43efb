//! What someone who looks at a run may see beyond its counters: the state of a key, asked of the lanes between two polls,
//! and the latest results. While nobody looks it costs a look at a flag.

mod key;
mod recent;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

pub use key::{KeyEvent, KeyModel, KeyState, KeyWindow, WindowState};
use recent::Recent;
pub use recent::{Missing, Outcome, Seen, SeenWindow};

use crate::clock;
use crate::epoch::Transaction;
use crate::record::Key;
use crate::time::Millis;
use crate::window::Missed;

/// Questions that wait for a lane at the most.
const QUESTIONS: usize = 4;
/// Keys that are watched at the most; a further one takes the place of the one asked for least recently.
const WATCHED: usize = 16;
/// A key that nobody has asked for is watched no longer.
const FORGET: Duration = Duration::from_secs(15);

/// Which windows of a key are open, and what is in them.
#[derive(Debug)]
pub struct Question {
    /// The key.
    pub key: Key,
    /// For what the partitions of a lane hold of it.
    pub reply: Sender<Vec<KeyState>>,
}

/// A key that somebody looks at.
#[derive(Debug)]
struct Watched {
    key: Key,
    asked: Instant,
    seen: Recent,
}

/// What a run shows to those who look.
#[derive(Debug, Default)]
pub struct Observer {
    on: AtomicBool,
    latest: Mutex<Recent>,
    any_watched: AtomicBool,
    watched: Mutex<Vec<Watched>>,
    lanes: Mutex<Vec<Sender<Question>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer {
    /// From now on the latest results are kept.
    pub fn turn_on(&self) {
        self.on.store(true, Ordering::Relaxed);
    }

    /// A lane that answers questions: where they come from.
    pub fn lane(&self) -> Receiver<Question> {
        let (ask, questions) = bounded(QUESTIONS);
        lock(&self.lanes).push(ask);
        questions
    }

    /// Asks all lanes for a key; returns where the answers come, and how many. A lane that has too many questions
    /// already is left out.
    pub fn ask(&self, key: &Key) -> (Receiver<Vec<KeyState>>, usize) {
        let lanes = lock(&self.lanes);
        let (reply, answers) = bounded(lanes.len().max(1));
        let question = || Question { key: key.clone(), reply: reply.clone() };
        let asked = lanes.iter().filter(|lane| lane.try_send(question()).is_ok()).count();
        (answers, asked)
    }

    /// Keeps what becomes of a key from now on, for a while.
    pub fn watch(&self, key: &Key) {
        let mut watched = lock(&self.watched);
        let now = Instant::now();
        if let Some(known) = watched.iter_mut().find(|watched| watched.key == *key) {
            known.asked = now;
            return;
        }
        if watched.len() == WATCHED
            && let Some((oldest, _)) = watched.iter().enumerate().min_by_key(|(_, watched)| watched.asked)
        {
            watched.swap_remove(oldest);
        }
        let seen = lock(&self.latest).of(key);
        watched.push(Watched { key: key.clone(), asked: now, seen });
        self.any_watched.store(true, Ordering::Relaxed);
    }

    /// Lets go of keys that nobody has asked for lately.
    pub fn forget_unwatched(&self) {
        let mut watched = lock(&self.watched);
        watched.retain(|watched| watched.asked.elapsed() < FORGET);
        self.any_watched.store(!watched.is_empty(), Ordering::Relaxed);
    }

    /// What has become of a watched key: its results and dead letters, and what it missed.
    pub fn of(&self, key: &Key) -> (Vec<Seen>, Vec<Missing>) {
        let watched = lock(&self.watched);
        let mine = watched.iter().find(|watched| watched.key == *key);
        mine.map_or_else(Default::default, |mine| mine.seen.all())
    }

    /// The latest results and dead letters of all keys, a sample.
    pub fn latest(&self) -> (Vec<Seen>, Vec<Seen>) {
        lock(&self.latest).split()
    }

    /// Records are committed.
    pub(crate) fn committed(&self, transaction: &Transaction) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let wall = clock::wall();
        let mut latest = lock(&self.latest);
        for part in &transaction.parts {
            latest.sample(part, wall);
        }
        drop(latest);
        if self.any_watched.load(Ordering::Relaxed) {
            for watched in lock(&self.watched).iter_mut() {
                for part in &transaction.parts {
                    watched.seen.take(part, &watched.key, wall);
                }
            }
        }
    }

    /// An event of a key came too late for windows. `model` says which model stands at a place of its source.
    pub(crate) fn late(&self, key: &[u8], time: Millis, missed: &[Missed], model: impl Fn(usize) -> usize) {
        if !self.any_watched.load(Ordering::Relaxed) {
            return;
        }
        let mut watched = lock(&self.watched);
        let Some(mine) = watched.iter_mut().find(|watched| *watched.key == *key) else { return };
        for missed in missed {
            let Missed { first_start, last_start, count, .. } = *missed;
            mine.seen.missed(Missing { model: model(missed.model), time, first_start, last_start, count });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::epoch::Part;
    use crate::record::{Headers, OutRecord, Stream, TopicPartition};

    fn key(name: &str) -> Key {
        Key::from(name.as_bytes())
    }

    fn result(name: &str, end: Millis) -> OutRecord {
        let value =
            format!(r#"{{"key":"{name}","window":{{"start":{},"end":{end}}},"n_events":3}}"#, end - 10);
        OutRecord {
            stream: Stream::Sink(0),
            partition: Some(0),
            key: Some(key(name)),
            value: Some(value.into_bytes()),
            timestamp: end - 1,
            headers: Headers::Result { model: 0, id: [0; 16] },
        }
    }

    fn transaction(records: Vec<OutRecord>) -> Transaction {
        let part = Part {
            assignment: 0,
            partition: TopicPartition { topic: Arc::from("t"), partition: 0 },
            offset: 0,
            metadata: String::new(),
            records,
            bytes: 0,
            epochs: 1,
            last_epoch: 0,
            fates: BTreeMap::new(),
            ends: BTreeMap::new(),
        };
        Transaction { parts: vec![part] }
    }

    fn ends(seen: &[Seen]) -> Vec<Millis> {
        seen.iter().filter_map(|seen| seen.window).map(|window| window.end).collect()
    }

    #[test]
    fn nothing_is_kept_while_nobody_looks() {
        let observer = Observer::default();
        observer.committed(&transaction(vec![result("a", 10)]));
        observer.late(b"a", 5, &[], |place| place);
        assert_eq!(observer.latest(), (Vec::new(), Vec::new()));
        observer.turn_on();
        observer.committed(&transaction(vec![result("a", 20)]));
        assert_eq!(ends(&observer.latest().0), [20]);
    }

    #[test]
    fn the_sample_is_the_newest_and_bounded_and_of_a_watched_key_all_is_kept() {
        let observer = Observer::default();
        observer.turn_on();
        observer.watch(&key("a"));
        for epoch in 0..50 {
            let ends = (1..=10).map(|n| (epoch * 10 + n) * 10);
            observer.committed(&transaction(
                ends.map(|end| result(if end % 20 == 0 { "a" } else { "b" }, end)).collect(),
            ));
        }
        let latest = ends(&observer.latest().0);
        assert_eq!((latest.len(), latest.last()), (64, Some(&5_000)));
        let mine = ends(&observer.of(&key("a")).0);
        assert_eq!((mine.len(), mine[0], mine[199]), (200, 1_020, 5_000));
        assert!(observer.of(&key("b")).0.is_empty());
    }

    #[test]
    fn watched_keys_are_few_and_the_one_asked_for_least_recently_goes_first() {
        let observer = Observer::default();
        let missed = [Missed { model: 0, first_start: 0, last_start: 10, count: 2, watermark: 30 }];
        for n in 0..WATCHED {
            observer.watch(&key(&n.to_string()));
        }
        observer.watch(&key("0"));
        observer.watch(&key("more"));
        assert_eq!(lock(&observer.watched).len(), WATCHED);
        for name in ["0", "1", "more"] {
            observer.late(name.as_bytes(), 5, &missed, |place| place + 7);
        }
        let counts = ["0", "1", "more"].map(|name| observer.of(&key(name)).1.len());
        assert_eq!(counts, [1, 0, 1]);
        assert_eq!(observer.of(&key("0")).1[0].model, 7);
    }

    #[test]
    fn a_lane_has_a_few_questions_at_a_time_and_one_that_has_ended_none() {
        let observer = Observer::default();
        let (first, second) = (observer.lane(), observer.lane());
        drop(second);
        let asked: Vec<usize> = (0..=QUESTIONS).map(|_| observer.ask(&key("a")).1).collect();
        assert_eq!(asked, [1, 1, 1, 1, 0]);
        assert_eq!(first.try_iter().count(), QUESTIONS);
    }
}
