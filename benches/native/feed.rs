//! Millstream's own consumer and decoder, without anything behind them: the bare drain, and what the copy job
//! reads from.

use std::sync::Arc;
use std::time::Duration;

use millstream::config::Plan;
use millstream::decode::Decoder;
use millstream::kafka::{self, KafkaSource};
use millstream::record::RawRecord;
use millstream::shared::Shared;
use millstream::source::{Change, Source};
use serde_json::Value;

use crate::Outcome;
use crate::meter::Meter;
use crate::spec::Spec;

/// As in the ingest stage.
const POLL: Duration = Duration::from_millis(5);

/// Consumes the topic, decodes the events where that is asked for, and does no more.
pub(crate) fn measure(spec: &Spec, decode: bool) -> Outcome<Value> {
    let mut feed = Feed::new(spec)?;
    let mut begun = None;
    let mut decoder = feed.decoder();
    let (mut events, mut sum) = (0, 0.0);
    while events < spec.events {
        feed.poll(&mut |_, record| {
            events += 1;
            if decode {
                sum += decoder.decode(record).map_or(f64::NAN, |event| event.row[0]);
            }
        })?;
        Meter::begin(&mut begun, events, spec.skip)?;
    }
    let report = Meter::report(begun, events);
    feed.close();
    // What is not looked at may be optimised away, and what cannot be decoded must not pass.
    if sum.is_nan() { Err("an event was rejected".into()) } else { report }
}

/// A member of a new group that reads the topic from its beginning.
pub(crate) struct Feed {
    source: KafkaSource,
    plan: Arc<Plan>,
}

impl Feed {
    pub(crate) fn new(spec: &Spec) -> Outcome<Self> {
        let plan = Arc::new(Plan::from_json(&spec.plan.to_string())?);
        let (log, _) = millstream::log::channel();
        let topics = kafka::prepare(&plan, &log)?;
        let shared = Shared {
            metrics: Arc::default(),
            control: millstream::control::Control::default(),
            routes: topics.routes(&plan),
            plan: plan.clone(),
            adopt: false,
            until_end: None,
            log,
        };
        let (source, _) = kafka::connect(&shared, &Arc::new(topics), 0)?;
        Ok(Self { source, plan })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(&self.plan.sources[0])
    }

    /// Hands over the records that are there, each with its partition.
    pub(crate) fn poll(&mut self, each: &mut dyn FnMut(usize, &RawRecord<'_>)) -> Outcome<()> {
        self.source.poll(POLL, usize::MAX, &mut |partition, record| {
            each(partition, &record);
            Ok(())
        })?;
        for change in self.source.changes()? {
            let Change::Assigned(assigned) = change else {
                return Err("the partitions were taken away".into());
            };
            let starts: Vec<_> = assigned.iter().map(|new| (new.partition.clone(), new.bounds.0)).collect();
            self.source.assign(&starts)?;
            for (id, _) in starts {
                self.source.begin(&id, id.partition as usize)?;
            }
        }
        Ok(())
    }

    pub(crate) fn close(self) {
        self.source.close();
    }
}
