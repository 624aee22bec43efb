//! Reads a topic of results from its beginning to its end.

use std::time::{Duration, Instant};

use millstream::kafka::{TopicReader, TopicRecord};
use serde::Deserialize;

use crate::Outcome;
use crate::spec::Spec;

/// How long nothing may come before what is there counts as all.
const SILENCE: Duration = Duration::from_secs(2);

/// The result of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) count: u64,
    pub(crate) mean: f64,
}

/// A row as it is written.
#[derive(Deserialize)]
struct Written<'a> {
    key: &'a str,
    window: Bounds,
    n_events: u64,
    mean: f64,
}

#[derive(Deserialize)]
struct Bounds {
    start: i64,
    end: i64,
}

/// A reader of the sink.
pub(crate) struct Results {
    reader: TopicReader,
}

impl Results {
    pub(crate) fn new(spec: &Spec) -> Outcome<Self> {
        let (log, _) = millstream::log::channel();
        Ok(Self { reader: TopicReader::new(&spec.brokers, &spec.sink, log)? })
    }

    /// Hands over every result. `each` says whether all that were expected have come: then it waits a moment more, for
    /// what must not.
    pub(crate) fn read(&self, each: &mut dyn FnMut(&TopicRecord, &Row) -> bool) -> Outcome<()> {
        let mut heard = Instant::now();
        let mut complete = false;
        while heard.elapsed() < if complete { SILENCE / 4 } else { SILENCE } {
            self.poll(&mut |record, row| {
                heard = Instant::now();
                complete = each(record, row);
            })?;
        }
        Ok(())
    }

    /// Hands over the results that are there, or that come within a moment.
    pub(crate) fn poll(&self, each: &mut dyn FnMut(&TopicRecord, &Row)) -> Outcome<()> {
        for record in self.reader.poll(Duration::from_millis(50)) {
            each(&record, &row(record.value.as_deref().unwrap_or_default())?);
        }
        Ok(())
    }
}

fn row(value: &[u8]) -> Outcome<Row> {
    let written: Written<'_> = serde_json::from_slice(value)?;
    Ok(Row {
        key: written.key.strip_prefix('s').ok_or("a key that was not loaded")?.parse()?,
        start: written.window.start,
        end: written.window.end,
        count: written.n_events,
        mean: written.mean,
    })
}
