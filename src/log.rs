//! Log lines on their way to the user: a bounded channel that never blocks the data path. The main thread hands
//! them to Python's logging; what does not fit is counted and said later.

mod scrub;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::batch::WindowMeta;
use crate::config::Plan;
use crate::record::TopicPartition;
use crate::time::Millis;

pub use scrub::Scrub;

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

/// What a line is about, as far as it is about one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The model.
    pub model: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// The partition of it.
    pub partition: Option<i32>,
    /// The offset there; of a window that of its first event.
    pub offset: Option<i64>,
    /// The key.
    pub key: Option<String>,
    /// The window, `[start, end)`.
    pub window: Option<(Millis, Millis)>,
}

/// A text, and what it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    text: String,
    about: About,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, about: About::default() }
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Said {
    /// It is about a model.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.about.model = Some(name.to_owned());
        self
    }

    /// It is about a topic.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        self.about.topic = Some(topic.to_owned());
        self
    }

    /// It is about a partition.
    #[must_use]
    pub fn partition(self, id: &TopicPartition) -> Self {
        let mut said = self.topic(&id.topic);
        said.about.partition = Some(id.partition);
        said
    }

    /// It is about an offset of the partition.
    #[must_use]
    pub fn offset(mut self, offset: i64) -> Self {
        self.about.offset = Some(offset);
        self
    }

    /// It is about a key.
    #[must_use]
    pub fn key(mut self, key: &[u8]) -> Self {
        self.about.key = Some(String::from_utf8_lossy(key).into_owned());
        self
    }

    /// It is about a window of a topic.
    #[must_use]
    pub fn window(self, topic: &str, window: &WindowMeta) -> Self {
        let mut said = self.topic(topic).offset(window.offsets.0).key(&window.key);
        said.about.partition = Some(window.partition);
        said.about.window = Some((window.start, window.end));
        said
    }
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
    /// What it is about.
    pub about: About,
}

/// The app whose log it is.
#[derive(Debug)]
struct Owner {
    app: String,
    scrub: Scrub,
}

/// The writing end, cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
    owner: Arc<OnceLock<Owner>>,
    /// By kind: when a line was let through last, and how many have been held back since.
    kinds: Arc<Mutex<HashMap<String, (Instant, u64)>>>,
}

/// The reading end.
#[derive(Debug)]
pub struct LogReader {
    lines: Receiver<Line>,
    dropped: Arc<AtomicU64>,
    owner: Arc<OnceLock<Owner>>,
}

/// A log and its reader.
pub fn channel() -> (Log, LogReader) {
    let (sender, receiver) = bounded(CAPACITY);
    let (dropped, owner) = (Arc::new(AtomicU64::new(0)), Arc::<OnceLock<Owner>>::default());
    (
        Log { lines: sender, dropped: dropped.clone(), owner: owner.clone(), kinds: Arc::default() },
        LogReader { lines: receiver, dropped, owner },
    )
}

impl Log {
    /// From now on it is the log of an app, whose secrets are kept.
    pub fn belongs_to(&self, plan: &Plan) {
        self.owner.get_or_init(|| Owner { app: plan.name.clone(), scrub: Scrub::of(plan) });
    }

    /// Says something, unless the channel is full.
    pub fn say(&self, level: Level, part: &'static str, said: impl Into<Said>) {
        let Said { text, about } = said.into();
        let text = match self.owner.get() {
            Some(owner) => owner.scrub.text(&text).into_owned(),
            None => text,
        };
        if self.lines.try_send(Line { level, part, text, about }).is_err() {
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
    pub fn info(&self, part: &'static str, said: impl Into<Said>) {
        self.say(Level::Info, part, said);
    }

    /// What someone should look at.
    pub fn warning(&self, part: &'static str, said: impl Into<Said>) {
        self.say(Level::Warning, part, said);
    }
}

impl LogReader {
    /// The name of the app whose log it is.
    pub fn app(&self) -> Option<&str> {
        self.owner.get().map(|owner| &*owner.app)
    }

    /// The lines that are there, and a last one where some were dropped.
    pub fn drain(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.lines.try_iter().collect();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let text =
                format!("{dropped} log lines were dropped because they came faster than they were read");
            lines.push(Line { level: Level::Warning, part: "log", text, about: About::default() });
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

    #[test]
    fn a_line_says_what_it_is_about_and_nothing_that_it_is_not() {
        let (log, reader) = channel();
        let id = TopicPartition { topic: Arc::from("t"), partition: 3 };
        log.info("restore", Said::from("on").partition(&id).offset(7));
        log.warning("run", "off");
        let about: Vec<_> = reader.drain().into_iter().map(|line| line.about).collect();
        let topic = Some("t".to_owned());
        assert_eq!(about[0], About { topic, partition: Some(3), offset: Some(7), ..About::default() });
        assert_eq!(about[1], About::default());
    }
}
