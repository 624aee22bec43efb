//! The windows of one model that have closed and wait to be gathered: a queue for each length bucket, in which they
//! stand in the order in which they have closed.

use std::collections::VecDeque;

use super::buffer::KeyId;
use super::model::Closed;
use crate::config::LengthBuckets;
use crate::time::{Millis, NEVER};

#[derive(Debug)]
struct Queue {
    bucket: usize,
    closed: VecDeque<Closed>,
}

/// Closed windows that wait, by length bucket.
#[derive(Debug)]
pub(super) struct Ready {
    buckets: LengthBuckets,
    /// By bucket; without buckets there is only one.
    queues: Vec<Queue>,
    len: usize,
}

impl Ready {
    pub(super) fn new(buckets: &LengthBuckets) -> Self {
        Self { buckets: buckets.clone(), queues: Vec::new(), len: 0 }
    }

    /// Windows of all buckets.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn place(&self, bucket: usize) -> Result<usize, usize> {
        self.queues.binary_search_by_key(&bucket, |queue| queue.bucket)
    }

    /// A window closes.
    pub(super) fn push(&mut self, closed: Closed) {
        let bucket = self.buckets.bucket(closed.range.len);
        let place = self.place(bucket).unwrap_or_else(|place| {
            self.queues.insert(place, Queue { bucket, closed: VecDeque::new() });
            place
        });
        self.queues[place].closed.push_back(closed);
        self.len += 1;
    }

    /// The windows of a bucket, oldest first.
    pub(super) fn of(&self, bucket: usize) -> impl Iterator<Item = &Closed> {
        self.place(bucket).into_iter().flat_map(|place| &self.queues[place].closed)
    }

    /// Buckets that have any: how many, and how many of them are of this epoch, the last one.
    pub(super) fn waiting(&self, epoch: u64) -> impl Iterator<Item = (usize, usize, usize)> {
        let queues = self.queues.iter().filter(|queue| !queue.closed.is_empty());
        queues.map(move |Queue { bucket, closed }| {
            let before = closed.partition_point(|window| window.epoch < epoch);
            (*bucket, closed.len(), closed.len() - before)
        })
    }

    /// Takes the oldest windows of a bucket out; returns their keys.
    pub(super) fn take(&mut self, bucket: usize, count: usize) -> Vec<KeyId> {
        let Ok(place) = self.place(bucket) else { return Vec::new() };
        let closed = &mut self.queues[place].closed;
        let taken: Vec<KeyId> =
            closed.drain(..count.min(closed.len())).map(|closed| closed.range.key).collect();
        self.len -= taken.len();
        // A length may not come again.
        if closed.is_empty() && self.buckets == LengthBuckets::Exact {
            self.queues.remove(place);
        }
        taken
    }

    /// Where the earliest of them starts.
    pub(super) fn earliest(&self) -> Millis {
        // Within a bucket none starts before the one that closed before it.
        let oldest = self.queues.iter().filter_map(|queue| queue.closed.front());
        oldest.map(|oldest| oldest.range.start).min().unwrap_or(NEVER)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Closed> {
        self.queues.iter().flat_map(|queue| &queue.closed)
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Closed> {
        self.queues.iter_mut().flat_map(|queue| &mut queue.closed)
    }

    /// Gives back most of what a burst has left empty.
    pub(super) fn give_back(&mut self) {
        for Queue { closed, .. } in &mut self.queues {
            closed.shrink_to(closed.len() * 2);
        }
    }
}
