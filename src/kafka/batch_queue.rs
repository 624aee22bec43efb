//! Batch consumption: the queues of the assigned partitions forwarded to one queue of ours, and thousands of messages
//! taken from it by one call. The safe API has neither, nor the cached watermarks: all of it on the data path that is
//! `unsafe` is here.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use crate::record::RawRecord;

/// Messages taken by one call at the most.
pub(super) const BATCH: usize = 4096;

/// An error that came in place of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionError {
    pub(super) index: usize,
    pub(super) code: sys::rd_kafka_resp_err_t,
}

/// One queue for all partitions of a consumer. Dropped before the consumer can be, which it keeps.
pub(super) struct BatchQueue<C: ConsumerContext> {
    consumer: Arc<BaseConsumer<C>>,
    queue: *mut sys::rd_kafka_queue_t,
    partitions: HashMap<(String, i32), *mut sys::rd_kafka_queue_t>,
    indexes: HashMap<(String, i32), usize>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread, and all use of them here is through `&mut self`.
unsafe impl<C: ConsumerContext> Send for BatchQueue<C> {}

impl<C: ConsumerContext> BatchQueue<C> {
    pub(super) fn new(consumer: Arc<BaseConsumer<C>>) -> Self {
        // SAFETY: the client is alive, as we hold it.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let messages = vec![ptr::null_mut(); BATCH];
        Self { consumer, queue, partitions: HashMap::new(), indexes: HashMap::new(), messages }
    }

    /// Forwards a partition's messages to this queue. To be called before the partition is assigned.
    pub(super) fn forward(&mut self, topic: &str, partition: i32) {
        let key = (topic.to_owned(), partition);
        // Kafka's topic names hold no NUL.
        let Ok(name) = CString::new(topic) else { return };
        if self.partitions.contains_key(&key) {
            return;
        }
        // SAFETY: client and name are alive for the call; the handle is kept until `release`.
        let handle = unsafe {
            sys::rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), name.as_ptr(), partition)
        };
        if handle.is_null() {
            return;
        }
        // SAFETY: both queues are alive; librdkafka keeps a reference to the target.
        unsafe { sys::rd_kafka_queue_forward(handle, self.queue) };
        self.partitions.insert(key, handle);
    }

    /// Gives the index under which the partition's records come.
    pub(super) fn name(&mut self, topic: &str, partition: i32, index: usize) {
        self.indexes.insert((topic.to_owned(), partition), index);
    }

    /// Drops the records of a partition from now on.
    pub(super) fn unname(&mut self, topic: &str, partition: i32) {
        self.indexes.remove(&(topic.to_owned(), partition));
    }

    /// Gives a partition up: a handle that is kept would make the close hang.
    pub(super) fn release(&mut self, topic: &str, partition: i32) {
        let key = (topic.to_owned(), partition);
        self.indexes.remove(&key);
        if let Some(handle) = self.partitions.remove(&key) {
            // SAFETY: the handle came from `get_partition` and is destroyed once, as it is no longer in the map.
            unsafe { sys::rd_kafka_queue_destroy(handle) };
        }
    }

    /// Takes a batch and hands over its records; records of partitions without an index are dropped.
    /// Waits until there are `most`, or the batch is full, `timeout` at the most. Errors of partitions are returned.
    pub(super) fn take<E>(
        &mut self,
        timeout: Duration,
        most: usize,
        each: &mut dyn FnMut(usize, RawRecord<'_>) -> Result<(), E>,
    ) -> Result<Vec<PartitionError>, E> {
        let (millis, most) = (timeout.as_millis() as i32, most.min(self.messages.len()));
        // SAFETY: the queue is alive, and the array has room for `most` messages.
        let taken = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue, millis, self.messages.as_mut_ptr(), most)
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        let mut errors = Vec::new();
        let mut outcome = Ok(());
        // Messages come in runs of one partition.
        let mut last: Option<(*mut sys::rd_kafka_topic_t, i32, Option<usize>)> = None;
        for pointer in &self.messages[..taken] {
            // SAFETY: the first `taken` pointers are messages that we own until they are destroyed below.
            let message = unsafe { &**pointer };
            let index = match last {
                Some((topic, partition, index)) if topic == message.rkt && partition == message.partition => {
                    index
                }
                _ => {
                    let index = lookup(&self.indexes, message);
                    last = Some((message.rkt, message.partition, index));
                    index
                }
            };
            if let (Some(index), Ok(())) = (index, &outcome) {
                if message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    outcome = each(index, record(message));
                } else {
                    errors.push(PartitionError { index, code: message.err });
                }
            }
        }
        for pointer in &self.messages[..taken] {
            // SAFETY: destroyed once; nothing borrowed from it lives on.
            unsafe { sys::rd_kafka_message_destroy(*pointer) };
        }
        outcome.map(|()| errors)
    }

    /// The cached oldest offset and high watermark, both as of the last fetch reply; none before the first.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> (Option<i64>, Option<i64>) {
        // Kafka's topic names hold no NUL.
        let Ok(name) = CString::new(topic) else { return (None, None) };
        let (mut low, mut high) = (-1, -1);
        // SAFETY: client, name and both numbers are alive for the call.
        let code = unsafe {
            let client = self.consumer.client().native_ptr();
            sys::rd_kafka_get_watermark_offsets(client, name.as_ptr(), partition, &raw mut low, &raw mut high)
        };
        let known = |offset: i64| {
            (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && offset >= 0).then_some(offset)
        };
        (known(low), known(high))
    }
}

impl<C: ConsumerContext> Drop for BatchQueue<C> {
    fn drop(&mut self) {
        for (_, handle) in self.partitions.drain() {
            // SAFETY: each handle is destroyed once: the map is emptied.
            unsafe { sys::rd_kafka_queue_destroy(handle) };
        }
        // SAFETY: made in `new`, destroyed here and nowhere else.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// Whether the consumer is a member of its group now: with neither a generation nor a member id a transactional offset
/// commit would not be fenced.
pub(super) fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    // SAFETY: the client is alive; what is returned is ours until it is destroyed below.
    let metadata = unsafe { sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) };
    if metadata.is_null() {
        return false;
    }
    // SAFETY: the pointer is valid; the member id is a NUL-terminated string that lives as long as it.
    let (generation, named) = unsafe {
        let member = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
        let named = !member.is_null() && !CStr::from_ptr(member).to_bytes().is_empty();
        (sys::rd_kafka_consumer_group_metadata_generation_id(metadata), named)
    };
    // SAFETY: destroyed once, and not used afterwards.
    unsafe { sys::rd_kafka_consumer_group_metadata_destroy(metadata) };
    generation >= 0 && named
}

fn lookup(indexes: &HashMap<(String, i32), usize>, message: &sys::rd_kafka_message_t) -> Option<usize> {
    if message.rkt.is_null() {
        return None;
    }
    // SAFETY: a message keeps its topic alive, whose name is NUL-terminated.
    let topic = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt)) };
    indexes.get(&(topic.to_string_lossy().into_owned(), message.partition)).copied()
}

fn record(message: &sys::rd_kafka_message_t) -> RawRecord<'_> {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive for the call.
    let timestamp = unsafe { sys::rd_kafka_message_timestamp(message, &raw mut kind) };
    RawRecord {
        offset: message.offset,
        key: bytes(message.key.cast(), message.key_len),
        value: bytes(message.payload.cast(), message.len),
        timestamp: (timestamp >= 0).then_some(timestamp),
    }
}

fn bytes<'a>(pointer: *const u8, len: usize) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the pointer and length are those of a message that outlives the record made of it: `take` destroys it
    // after the record has been handed over, and the callback cannot keep what it borrows.
    Some(unsafe { slice::from_raw_parts(pointer, len) })
}
