//! Faults that a test asks for, by the environment variable `MILLSTREAM_FAULT`, read once: a process that ends or panics
//! at a named point (`crash:after_cut:3`), and mutants, each of which breaks one rule (`mutant:boundary`), so that it can
//! be seen which check finds it. Without the cargo feature `fault` all of it compiles to nothing.

/// Where a process may be made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Records have been taken in.
    AfterPoll,
    /// An epoch has been cut and not handed on.
    AfterCut,
    /// Nothing of a transaction has been produced.
    BeforeProduce,
    /// All records of it are delivered.
    AfterProduce,
    /// Its offsets are not sent.
    BeforeOffsets,
    /// Its offsets are sent.
    AfterOffsets,
    /// It is about to be committed.
    BeforeCommit,
    /// It is committed, and nobody has been told.
    AfterCommit,
    /// State is being read back.
    InRestore,
}

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// One event in 10,000 is dropped.
    DropEvent,
    /// A window whose end is the watermark does not close.
    Boundary,
    /// The first window of an event is forgotten.
    ForgetOverlap,
    /// Windows close without grace.
    EmitEarly,
    /// A restore begins with a clock of minus infinity.
    ClockNotRestored,
    /// T is that of the moment of the commit.
    ClockOfLiveState,
    /// R is that of the moment of the commit.
    ReplayOfLiveState,
    /// R takes one model alone into account.
    ReplayOfOneModel,
    /// What was late is counted again in a replay.
    LateInReplay,
    /// A floor that has been fixed is not committed.
    FloorForgotten,
    /// An idle advance is not committed before what it closes.
    IdleWithoutCut,
    /// State of a partition that comes back is used again.
    StateReused,
    /// Queued epochs outlive the assignment they belong to.
    EpochsKept,
    /// A pending transaction of an old owner is not waited for.
    OffsetsUnstable,
    /// Offsets are committed before results are produced.
    CommitBeforeProduce,
    /// Results are committed without offsets.
    SkipOffsets,
    /// A member that has been fenced goes on.
    IgnoreFencing,
    /// A producer is used on after a call whose outcome is unknown.
    ReuseProducer,
    /// Assigned partitions are not resumed.
    StayPaused,
    /// A panic of a worker ends nothing.
    SwallowPanic,
}

#[cfg(not(feature = "fault"))]
mod switch {
    use super::{Mutant, Point};

    /// Nothing.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it must leave nothing behind")]
    pub fn at(_: Point) {}

    /// False.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it must leave nothing behind")]
    pub const fn is(_: Mutant) -> bool {
        false
    }
}

#[cfg(feature = "fault")]
mod switch {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Mutant, Point};

    struct Stop {
        point: String,
        panics: bool,
        passes: AtomicU64,
        at: u64,
    }

    #[derive(Default)]
    struct Asked {
        stops: Vec<Stop>,
        mutants: Vec<String>,
    }

    /// Passes a point; the process ends there if that has been asked for.
    ///
    /// # Panics
    /// Where a panic has been asked for.
    pub fn at(point: Point) {
        let name = snake(&format!("{point:?}"));
        for stop in asked().stops.iter().filter(|stop| stop.point == name) {
            if stop.passes.fetch_add(1, Ordering::Relaxed) + 1 == stop.at {
                assert!(!stop.panics, "asked for: panic at {name}");
                let _ = writeln!(std::io::stderr(), "crash point {name}");
                std::process::abort();
            }
        }
    }

    /// Whether a rule is to be broken.
    ///
    /// # Panics
    /// At the first call, where what is asked for is nothing that there is.
    pub fn is(mutant: Mutant) -> bool {
        let mutants = &asked().mutants;
        !mutants.is_empty() && mutants.contains(&snake(&format!("{mutant:?}")))
    }

    fn asked() -> &'static Asked {
        static ASKED: OnceLock<Asked> = OnceLock::new();
        ASKED.get_or_init(|| {
            let mut asked = Asked::default();
            for item in std::env::var("MILLSTREAM_FAULT").unwrap_or_default().split(',') {
                match item.split(':').collect::<Vec<_>>()[..] {
                    [""] => {}
                    ["mutant", name] => asked.mutants.push(name.to_owned()),
                    [kind @ ("crash" | "panic"), point, at] => asked.stops.push(Stop {
                        point: point.to_owned(),
                        panics: kind == "panic",
                        passes: AtomicU64::new(0),
                        at: at.parse().unwrap_or(1),
                    }),
                    _ => panic!("MILLSTREAM_FAULT has an item that is none: {item:?}"),
                }
            }
            asked
        })
    }

    fn snake(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(letter.to_lowercase());
        }
        text
    }
}

pub use switch::{at, is};

/// What mutants remember of one moment at another. A run in memory has all its stages on one thread.
#[cfg(feature = "fault")]
pub(crate) mod memory {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::{Mutant, is};
    use crate::epoch::Transaction;
    use crate::metadata::Metadata;
    use crate::record::TopicPartition;
    use crate::window::PartitionWindows;

    thread_local! {
        static LIVE: RefCell<HashMap<u64, Metadata>> = RefCell::default();
        static ENDED: RefCell<HashMap<TopicPartition, PartitionWindows>> = RefCell::default();
        static EVENTS: RefCell<u64> = const { RefCell::new(0) };
    }

    /// True once in so many calls.
    pub(crate) fn one_in(many: u64) -> bool {
        EVENTS.with_borrow_mut(|events| {
            *events += 1;
            *events % many == 0
        })
    }

    /// State as it is now.
    pub(crate) fn live(assignment: u64, metadata: Metadata) {
        LIVE.with_borrow_mut(|live| live.insert(assignment, metadata));
    }

    /// What is about to be committed, with the clock or the replay start of this moment instead of the cut's.
    pub(crate) fn mutated(mut transaction: Transaction) -> Transaction {
        let (clock, replay) = (is(Mutant::ClockOfLiveState), is(Mutant::ReplayOfLiveState));
        for part in transaction.parts.iter_mut().filter(|_| clock || replay) {
            let live = LIVE.with_borrow(|live| live.get(&part.assignment).cloned());
            if let (Some(live), Some(mut metadata)) = (live, Metadata::decode(&part.metadata)) {
                if clock {
                    metadata.clock = live.clock;
                } else {
                    metadata.replay_from = live.replay_from.min(part.offset);
                }
                part.metadata = metadata.encode();
            }
        }
        transaction
    }

    /// Keeps the state of a partition that goes.
    pub(crate) fn keep(partition: TopicPartition, windows: PartitionWindows) {
        ENDED.with_borrow_mut(|ended| ended.insert(partition, windows));
    }

    /// State that was kept.
    pub(crate) fn kept(partition: &TopicPartition) -> Option<PartitionWindows> {
        ENDED.with_borrow_mut(|ended| ended.remove(partition))
    }
}
