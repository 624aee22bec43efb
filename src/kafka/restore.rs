//! Reading parts of a source again, apart from the group: no offset is committed, no member joins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::types::RDKafkaRespErr;

use super::batch_queue::{BATCH, BatchQueue};
use super::context::Plain;
use super::error::failed;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::record::RawRecord;
use crate::source::{Replay, ReplayRange};

/// How long a replay goes on without getting anywhere.
const STALLED: Duration = Duration::from_secs(120);

/// Reads ranges of partitions.
pub struct KafkaReplay {
    consumer: Arc<BaseConsumer<Plain>>,
    queue: BatchQueue<Plain>,
}

impl KafkaReplay {
    pub(super) fn new(settings: &Settings, log: &Log) -> Result<Self> {
        let consumer: BaseConsumer<Plain> =
            settings
                .reader(1)
                .create_with_context(Plain::new(log.clone()))
                .map_err(|error| failed("the reader for replays could not be made", &error))?;
        let consumer = Arc::new(consumer);
        Ok(Self { queue: BatchQueue::new(consumer.clone()), consumer })
    }
}

impl Replay for KafkaReplay {
    fn read(
        &mut self,
        range: &ReplayRange,
        stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<()> {
        let id = &range.partition;
        self.queue.forward(&id.topic, id.partition);
        self.queue.name(&id.topic, id.partition, 0);
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&id.topic, id.partition, Offset::Offset(range.from))
            .and_then(|()| self.consumer.assign(&assignment))
            .map_err(|error| failed(format_args!("{id} could not be read again"), &error))?;
        let mut next = range.from;
        let mut progress = Instant::now();
        while next < range.to && !stop() {
            let before = next;
            let errors =
                self.queue.take(Duration::from_millis(20), BATCH, &mut |_, record: RawRecord<'_>| {
                    if record.offset >= next && record.offset < range.to {
                        each(record);
                    }
                    next = next.max(record.offset + 1);
                    Ok::<(), Error>(())
                })?;
            // Events only; no message comes this way.
            let _ = self.consumer.poll(Duration::ZERO);
            for error in errors {
                if error.code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET {
                    return Err(Error::LostHistory(format!(
                        "{id}: offset {next}, which open windows need, is no longer in the log. Use a new group_id, and \
                         a longer retention"
                    )));
                }
            }
            if next == before {
                // Control markers at the end of the range are passed by the position alone.
                let position = self.consumer.position().ok();
                let element = position.as_ref().and_then(|list| list.find_partition(&id.topic, id.partition));
                if let Some(Offset::Offset(position)) = element.map(|element| element.offset()) {
                    next = next.max(position);
                }
            }
            if next > before {
                progress = Instant::now();
            } else if progress.elapsed() > STALLED {
                return Err(Error::Kafka(format!(
                    "{id}: reading offsets {} to {} back has not moved beyond {next} for {} s",
                    range.from,
                    range.to,
                    STALLED.as_secs()
                )));
            }
        }
        self.queue.release(&id.topic, id.partition);
        self.consumer.unassign().map_err(|error| failed(format_args!("{id} could not be let go"), &error))
    }
}
