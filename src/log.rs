//! Log lines on their way to the user: a bounded channel that never blocks the data path. The main thread hands
//! them to Python's logging; what does not fit is counted and said later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

const CAPACITY: usize = 1024;
/// How often lines of one kind are let through.
const SELDOM: Duration = Duration::from_secs(10);

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers of the library.
    Debug,
    /// What a run does.
    Info,
    /// What someone should look at.
    Warning,
    /// What failed.
    Error,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How serious it is.
    pub level: Level,
    /// The part that says it: the logger is `millstream.<part>`.
    pub part: &'static str,
    /// The text.
    pub text: String,
}

/// The writing end, cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
    /// By kind: when a line was let through last, and how many have been held back since.
    kinds: Arc<Mutex<HashMap<String, (Instant, u64)>>>,
}

/// The reading end.
#[derive(Debug)]
pub struct LogReader {
    lines: Receiver<Line>,
    dropped: Arc<AtomicU64>,
}

/// A log and its reader.
pub fn channel() -> (Log, LogReader) {
    let (sender, receiver) = bounded(CAPACITY);
    let dropped = Arc::new(AtomicU64::new(0));
    (
        Log { lines: sender, dropped: dropped.clone(), kinds: Arc::default() },
        LogReader { lines: receiver, dropped },
    )
}

impl Log {
    /// Says something, unless the channel is full.
    pub fn say(&self, level: Level, part: &'static str, text: impl Into<String>) {
        if self.lines.try_send(Line { level, part, text: text.into() }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says something of a kind that may come by the thousand: every ten seconds one line of it, which counts the rest.
    pub fn seldom(&self, level: Level, part: &'static str, kind: &str, text: &str) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let held = match kinds.get_mut(kind) {
            Some((last, held)) if last.elapsed() < SELDOM => {
                *held += 1;
                return;
            }
            Some((last, held)) => {
                *last = Instant::now();
                std::mem::take(held)
            }
            None => {
                kinds.insert(kind.to_owned(), (Instant::now(), 0));
                0
            }
        };
        drop(kinds);
        match held {
            0 => self.say(level, part, text),
            held => self.say(level, part, format!("{text} ({held} more like it since the last line)")),
        }
    }

    /// What a run does.
    pub fn info(&self, part: &'static str, text: impl Into<String>) {
        self.say(Level::Info, part, text);
    }

    /// What someone should look at.
    pub fn warning(&self, part: &'static str, text: impl Into<String>) {
        self.say(Level::Warning, part, text);
    }
}

impl LogReader {
    /// The lines that are there, and a last one where some were dropped.
    pub fn drain(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.lines.try_iter().collect();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let text =
                format!("{dropped} log lines were dropped because they came faster than they were read");
            lines.push(Line { level: Level::Warning, part: "log", text });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_are_let_through_seldom_and_others_at_once() {
        let (log, reader) = channel();
        for n in 0..1000 {
            log.seldom(Level::Warning, "kafka", "FAIL", &format!("away {n}"));
        }
        log.seldom(Level::Warning, "kafka", "OTHER", "else");
        let texts: Vec<_> = reader.drain().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["away 0", "else"]);
    }
}
