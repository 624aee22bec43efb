//! The ids of topics, what the broker lets us do with topics and a group, and how many are in the group: two admin calls
//! that the safe API does not have. All of what they return is copied out before it is freed.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka_sys as sys;
use sys::rd_kafka_AclOperation_t as Operation;
use sys::rd_kafka_admin_op_t as AdminOp;
use sys::rd_kafka_resp_err_t as Code;

/// Something that an authorizer grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Write,
}

/// What is granted; none where the broker does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights(Option<Vec<Right>>);

impl Rights {
    /// Whether the broker says that this one is not granted.
    pub(super) fn lack(&self, right: Right) -> bool {
        self.0.as_ref().is_some_and(|granted| !granted.contains(&right))
    }
}

/// A topic. Its id tells one that was deleted and made again from the one that was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// None where the broker is too old to know.
    pub(super) id: Option<String>,
    pub(super) partitions: i32,
    pub(super) rights: Rights,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) members: usize,
    pub(super) rights: Rights,
}

/// A topic that must be there.
pub(super) fn topic<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
) -> Result<Topic, KafkaError> {
    let mut described = topics(client, &[name], timeout)?;
    described.remove(name).unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition)))
}

/// These topics, or why they cannot be described.
pub(super) fn topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    timeout: Duration,
) -> Result<HashMap<String, Result<Topic, KafkaError>>, KafkaError> {
    let owned = names.iter().map(|name| CString::new(*name)).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<*const c_char> = owned.iter().map(|name| name.as_ptr()).collect();
    let request = |options: *const sys::rd_kafka_AdminOptions_t, queue: *mut sys::rd_kafka_queue_t| {
        // SAFETY: client, options and queue are alive; the collection copies the names and is copied by the call.
        unsafe {
            let collection =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(client.native_ptr(), collection, options, queue);
            sys::rd_kafka_TopicCollection_destroy(collection);
        }
    };
    ask(client, AdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout, request, |event| {
        let mut described = HashMap::new();
        let mut count = 0;
        // SAFETY: the event is alive until this closure returns, and owns all that is reached from it here; the array
        // has `count` valid pointers, and names are NUL-terminated.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            if result.is_null() {
                return Ok(described);
            }
            let array = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for index in 0..count {
                let topic = *array.add(index);
                let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
                let name = name.to_string_lossy().into_owned();
                let error = code(sys::rd_kafka_TopicDescription_error(topic));
                if error != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    described.insert(name, Err(KafkaError::AdminOp(error.into())));
                    continue;
                }
                let (mut granted, mut partitions) = (0, 0);
                let list = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut granted);
                sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                let id = text(sys::rd_kafka_TopicDescription_topic_id(topic));
                let topic = Topic { id, partitions: partitions as i32, rights: rights(list, granted) };
                described.insert(name, Ok(topic));
            }
        }
        Ok(described)
    })
}

/// A group, whether it has ever had a member or not.
pub(super) fn group<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
) -> Result<Group, KafkaError> {
    let name = CString::new(name)?;
    let request = |options: *const sys::rd_kafka_AdminOptions_t, queue: *mut sys::rd_kafka_queue_t| {
        let mut names = [name.as_ptr()];
        // SAFETY: client, name, options and queue are alive for the call, which copies the name.
        unsafe {
            sys::rd_kafka_DescribeConsumerGroups(client.native_ptr(), names.as_mut_ptr(), 1, options, queue);
        };
    };
    ask(client, AdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout, request, |event| {
        let mut count = 0;
        // SAFETY: the event is alive until this closure returns, and owns all that is reached from it here; the array
        // has `count` valid pointers.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
            if result.is_null() {
                return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
            }
            let array = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            if count == 0 {
                return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
            }
            let group = *array;
            match code(sys::rd_kafka_ConsumerGroupDescription_error(group)) {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                // Brokers differ in what they say of a group that nobody has ever joined.
                Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => {
                    return Ok(Group { members: 0, rights: Rights::default() });
                }
                other => return Err(KafkaError::AdminOp(other.into())),
            }
            let mut granted = 0;
            let list = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut granted);
            let members = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
            Ok(Group { members, rights: rights(list, granted) })
        }
    })
}

/// Sends a request on a queue of its own, waits for the one event that answers it, and has it read.
fn ask<C: ClientContext, T>(
    client: &Client<C>,
    operation: AdminOp,
    timeout: Duration,
    request: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let millis = timeout.as_millis() as i32;
    // SAFETY: the client is alive. Options, queue and event are made here, used before they are freed and freed once;
    // no error text is asked for, so no buffer is needed.
    unsafe {
        let native = client.native_ptr();
        let options = sys::rd_kafka_AdminOptions_new(native, operation);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let error = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !error.is_null() {
            sys::rd_kafka_error_destroy(error);
        }
        let queue = sys::rd_kafka_queue_new(native);
        request(options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis.saturating_add(1000));
        let outcome = if event.is_null() {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))
        } else {
            let outcome = match sys::rd_kafka_event_error(event) {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => read(event),
                other => Err(KafkaError::AdminOp(other.into())),
            };
            sys::rd_kafka_event_destroy(event);
            outcome
        };
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        outcome
    }
}

/// The code of an error that may be null.
///
/// # Safety
/// The pointer is null or that of an error that is alive.
unsafe fn code(error: *const sys::rd_kafka_error_t) -> Code {
    if error.is_null() {
        return Code::RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    // SAFETY: as promised by the caller.
    unsafe { sys::rd_kafka_error_code(error) }
}

/// A topic's id as text; all zeros where the broker knows none.
///
/// # Safety
/// The id is null, or alive for the call.
unsafe fn text(id: *const sys::rd_kafka_Uuid_t) -> Option<String> {
    if id.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller; the string belongs to the id and is copied.
    unsafe {
        let none = sys::rd_kafka_Uuid_most_significant_bits(id) == 0
            && sys::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let text = sys::rd_kafka_Uuid_base64str(id);
        (!none && !text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// What a list of operations grants.
///
/// # Safety
/// The pointer is null or that of `count` operations.
unsafe fn rights(list: *const Operation, count: usize) -> Rights {
    if list.is_null() {
        return Rights(None);
    }
    // SAFETY: as promised by the caller.
    let operations = unsafe { std::slice::from_raw_parts(list, count) };
    let granted = operations.iter().filter_map(|operation| match operation {
        Operation::RD_KAFKA_ACL_OPERATION_READ => Some(Right::Read),
        Operation::RD_KAFKA_ACL_OPERATION_WRITE => Some(Right::Write),
        _ => None,
    });
    Rights(Some(granted.collect()))
}
