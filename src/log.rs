//! Log lines on their way to the user: a bounded channel that never blocks the data path. The main thread hands
//! them to Python's logging; what does not fit is counted and said later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

const CAPACITY: usize = 1024;

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
    (Log { lines: sender, dropped: dropped.clone() }, LogReader { lines: receiver, dropped })
}

impl Log {
    /// Says something, unless the channel is full.
    pub fn say(&self, level: Level, part: &'static str, text: impl Into<String>) {
        if self.lines.try_send(Line { level, part, text: text.into() }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
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
