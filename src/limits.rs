//! Limits of state: what the partitions of this process hold together, the share of a limit from which on it is
//! warned of, and the error beyond it. Nothing is ever dropped to stay below one.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Plan;
use crate::error::Error;
use crate::time::Millis;

/// How often a limit is warned of at the most.
const WARNING_MS: Millis = 60_000;

/// From so much of a limit on it is warned of: 80 %.
pub(crate) fn watched_from(limit: usize) -> usize {
    (limit as u128 * 4).div_ceil(5) as usize
}

/// A limit of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Bytes of state in this process.
    StateBytes,
    /// Keys with an event in an open window, in this process.
    Keys,
    /// Events of one key in one partition that open windows need.
    EventsPerKey,
}

impl Limit {
    /// Those of all partitions of this process together.
    pub(crate) const OF_PROCESS: [Self; 2] = [Self::StateBytes, Self::Keys];

    fn setting(self) -> &'static str {
        match self {
            Self::StateBytes => "max_state_bytes",
            Self::Keys => "max_keys",
            Self::EventsPerKey => "max_events_per_key",
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::StateBytes => {
                "Raise it if there is memory, run more members so that each has fewer partitions, or make size, grace or \
                 the number of keys smaller"
            }
            Self::Keys => {
                "Raise it if so many are meant, run more members so that each has fewer partitions, or take a key with \
                 fewer values"
            }
            Self::EventsPerKey => {
                "Raise it if so many are meant, make size or grace smaller, or take a key that tells the senders apart"
            }
        }
    }

    fn amount(self, value: usize) -> Amount {
        if self == Self::StateBytes { Amount::Bytes(value) } else { Amount::Count(value) }
    }

    /// What holds so much, as a sentence begins.
    fn finding(self, value: usize) -> String {
        let amount = self.amount(value);
        match self {
            Self::StateBytes => format!("the state of this process holds {amount}"),
            Self::Keys => format!("{amount} keys have events in open windows"),
            Self::EventsPerKey => format!("{amount} events of one key are in open windows"),
        }
    }

    /// The end of the run. `culprit` says where most of it is.
    pub(crate) fn exceeded(self, limit: usize, value: usize, culprit: impl fmt::Display) -> Error {
        let (name, limit, finding) = (self.setting(), self.amount(limit), self.finding(value));
        Error::StateLimit(format!(
            "{name}={limit} is exceeded: {finding}, {culprit}. {}. Nothing has been dropped: the next run goes on where \
             the group stands",
            self.fix()
        ))
    }

    /// The warning before.
    pub(crate) fn near(self, limit: usize, value: usize, culprit: impl fmt::Display) -> String {
        let percent = value as u128 * 100 / limit as u128;
        let (name, limit, finding) = (self.setting(), self.amount(limit), self.finding(value));
        format!(
            "{finding}, {percent} % of {name}={limit}, {culprit}. Beyond the limit the run ends with an error. {}",
            self.fix()
        )
    }
}

/// What the limits of an app are set to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits([Option<usize>; 3]);

impl Limits {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self([plan.max_state_bytes, plan.max_keys, plan.max_events_per_key])
    }

    pub(crate) fn get(self, limit: Limit) -> Option<usize> {
        self.0[limit as usize]
    }
}

/// A number for people.
enum Amount {
    Bytes(usize),
    Count(usize),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) => {
                let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
                match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
                    None => write!(f, "{bytes}B"),
                    Some((unit, shift)) if bytes.trailing_zeros() >= shift => {
                        write!(f, "{}{unit}", bytes >> shift)
                    }
                    Some((unit, shift)) => write!(f, "{:.1}{unit}", bytes as f64 / (1_u64 << shift) as f64),
                }
            }
        }
    }
}

/// Bytes for people.
pub(crate) fn bytes(bytes: usize) -> impl fmt::Display {
    Amount::Bytes(bytes)
}

/// What all partitions of this process hold together, and when it was last warned of.
#[derive(Debug, Default)]
pub struct StateTotals {
    bytes: AtomicUsize,
    keys: AtomicUsize,
    warned_at: Mutex<[Option<Millis>; 3]>,
}

impl StateTotals {
    /// How much of a limit of the process is used.
    pub(crate) fn of(&self, limit: Limit) -> usize {
        match limit {
            Limit::StateBytes => self.bytes.load(Ordering::Relaxed),
            Limit::Keys => self.keys.load(Ordering::Relaxed),
            Limit::EventsPerKey => 0,
        }
    }

    /// Whether a warning of `limit` is due; then it counts as given.
    pub(crate) fn warn_now(&self, limit: Limit, now: Millis) -> bool {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut warned_at[limit as usize];
        let due = last.is_none_or(|at| now - at >= WARNING_MS);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// What one partition adds to the totals, as long as it is held.
#[derive(Debug)]
pub(crate) struct Share {
    totals: Arc<StateTotals>,
    bytes: usize,
    keys: usize,
}

impl Share {
    pub(crate) fn new(totals: Arc<StateTotals>) -> Self {
        Self { totals, bytes: 0, keys: 0 }
    }

    /// It holds so much now.
    pub(crate) fn set(&mut self, bytes: usize, keys: usize) {
        for (total, old, new) in
            [(&self.totals.bytes, &mut self.bytes, bytes), (&self.totals.keys, &mut self.keys, keys)]
        {
            if *old != new {
                // It wraps: a share that shrinks adds the complement.
                total.fetch_add(new.wrapping_sub(*old), Ordering::Relaxed);
                *old = new;
            }
        }
    }

    pub(crate) fn totals(&self) -> &StateTotals {
        &self.totals
    }

    /// Its part of what a limit of the process is held against.
    pub(crate) fn of(&self, limit: Limit) -> usize {
        match limit {
            Limit::StateBytes => self.bytes,
            Limit::Keys => self.keys,
            Limit::EventsPerKey => 0,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}
