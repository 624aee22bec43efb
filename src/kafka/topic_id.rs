//! A topic's id and its number of partitions, asked of the cluster: the safe API has no `DescribeTopics`. The id tells
//! a topic that was deleted and made again from the one that the group has read.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka_sys as sys;

/// What the cluster says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicFacts {
    /// None where the broker is too old to know.
    pub(super) id: Option<String>,
    pub(super) partitions: i32,
}

/// An admin request and all that librdkafka made for it, each destroyed once.
struct Request {
    names: *mut sys::rd_kafka_TopicCollection_t,
    options: *mut sys::rd_kafka_AdminOptions_t,
    queue: *mut sys::rd_kafka_queue_t,
    event: *mut sys::rd_kafka_event_t,
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: each is null or was made for this request, and is destroyed here and nowhere else; the event, which
        // the answer is borrowed from, first.
        unsafe {
            if !self.event.is_null() {
                sys::rd_kafka_event_destroy(self.event);
            }
            sys::rd_kafka_queue_destroy(self.queue);
            sys::rd_kafka_AdminOptions_destroy(self.options);
            sys::rd_kafka_TopicCollection_destroy(self.names);
        }
    }
}

/// Asks the cluster about a topic.
pub(super) fn facts<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicFacts, KafkaError> {
    let refused = |code: sys::rd_kafka_resp_err_t| KafkaError::AdminOp(RDKafkaErrorCode::from(code));
    let name = CString::new(topic).map_err(|_| KafkaError::AdminOp(RDKafkaErrorCode::InvalidTopic))?;
    let (millis, handle) = (timeout.as_millis() as i32, client.client().native_ptr());
    // SAFETY: the client is alive; the name is copied by the call.
    let mut request = unsafe {
        Request {
            names: sys::rd_kafka_TopicCollection_of_topic_names([name.as_ptr()].as_mut_ptr(), 1),
            options: sys::rd_kafka_AdminOptions_new(
                handle,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            queue: sys::rd_kafka_queue_new(handle),
            event: ptr::null_mut(),
        }
    };
    // SAFETY: all of the request is alive, and so is the client. No text is asked for where the time-out is refused.
    unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(request.options, millis, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(handle, request.names, request.options, request.queue);
        request.event = sys::rd_kafka_queue_poll(request.queue, millis);
    }
    if request.event.is_null() {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
    }
    // SAFETY: the event is alive until the request is dropped.
    let code = unsafe { sys::rd_kafka_event_error(request.event) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(refused(code));
    }
    let (mut topics, mut partitions) = (0, 0);
    // SAFETY: what is answered is borrowed from the event, which outlives it: strings are copied before that ends. The
    // array of topics holds as many pointers as the call says.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(request.event);
        let described = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut topics);
        if result.is_null() || described.is_null() || topics == 0 {
            return Err(refused(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
        }
        let topic = *described;
        let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(refused(error));
        }
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        Ok(TopicFacts { id: text(id), partitions: partitions as i32 })
    }
}

/// A topic's id as text; all zeros where the broker knows none.
///
/// # Safety
/// The id is null, or alive for the call.
unsafe fn text(id: *const sys::rd_kafka_Uuid_t) -> Option<String> {
    if id.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function; the string belongs to the id and is copied.
    unsafe {
        let none = sys::rd_kafka_Uuid_most_significant_bits(id) == 0
            && sys::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let text = sys::rd_kafka_Uuid_base64str(id);
        (!none && !text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}
