//! Naive oracle of the window contract: what one partition's log must yield for its models.
//!
//! Written from `design.md` sections 2 and 4 alone and sharing no code with `src/`: it looks at every
//! window in turn and reads the whole log for it, so each rule is stated once, as the contract states it.
#![allow(dead_code, unreachable_pub, reason = "each integration test includes it and uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

pub mod log;

/// One record of a partition's log; `valid` is false for what decoding refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub offset: i64,
    pub key: Vec<u8>,
    pub time: i64,
    pub record_time: Option<i64>,
    pub valid: bool,
    pub value: f64,
}

/// A hopping window and what its model asks of it, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub size: i64,
    pub hop: i64,
    pub offset: i64,
    pub grace: i64,
    pub min_events: usize,
}

/// Windows with `start <= floor` do not exist for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Floor {
    None,
    Value(i64),
    /// Fixed by the first accepted event: its time - 1.
    Pending,
}

/// A recorded idle advance: the clock rises to `clock` before the record at `before_offset`, or the next
/// one after it, is taken; beyond the end of the log, after the last one. Facts are taken on trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    pub before_offset: i64,
    pub clock: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub spec: Spec,
    pub floor: Floor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub model: usize,
    pub key: Vec<u8>,
    pub start: i64,
    pub end: i64,
    /// (time, offset), in that order.
    pub events: Vec<(i64, i64)>,
}

/// `consumed` is of the whole log: the other three and the dead letters add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub in_window: u64,
    pub late_for_all: u64,
    pub before_start: u64,
    pub consumed: u64,
}

/// Everything the log must yield; all lists of windows are sorted by (end, key, model).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub windows: Vec<Window>,
    /// Closed with fewer than `min_events`.
    pub skipped: Vec<Window>,
    /// Not closed at the end of the log, whatever they hold.
    pub open: Vec<Window>,
    /// (model, offset, start).
    pub late_pairs: BTreeSet<(usize, i64, i64)>,
    pub dead: BTreeSet<i64>,
    pub counts: Vec<Counts>,
    pub clock: Option<i64>,
}

/// An accepted event and the clock that it met, which is the one that judges it.
struct Met<'a> {
    event: &'a Event,
    clock: Option<i64>,
}

pub fn expect(log: &[Event], models: &[Model], advances: &[Advance], max_future: Option<i64>) -> Expected {
    assert!(log.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets must ascend");
    let mut expected = Expected::default();
    let accepted = accept(log, advances, max_future, &mut expected);
    for (index, model) in models.iter().enumerate() {
        let Spec { size, hop, grace, .. } = model.spec;
        assert!(0 < hop && hop <= size && 0 <= grace, "not a hopping window: {:?}", model.spec);
        expect_model(index, model, &accepted, &mut expected);
        let counts = count(index, model, &accepted, log.len(), &expected);
        expected.counts.push(counts);
    }
    for windows in [&mut expected.windows, &mut expected.skipped, &mut expected.open] {
        windows.sort_by(|a, b| (a.end, &a.key, a.model).cmp(&(b.end, &b.key, b.model)));
    }
    expected
}

/// Judges every record by the prefix before it; sets the dead letters and the final clock.
fn accept<'a>(
    log: &'a [Event],
    advances: &[Advance],
    max_future: Option<i64>,
    expected: &mut Expected,
) -> Vec<Met<'a>> {
    let mut accepted: Vec<Met> = Vec::new();
    for event in log {
        if event.valid && !is_future(event, max_future) {
            let times = accepted.iter().map(|met| met.event.time);
            let facts = advances.iter().filter(|a| a.before_offset <= event.offset).map(|a| a.clock);
            let clock = times.chain(facts).max();
            accepted.push(Met { event, clock });
        } else {
            expected.dead.insert(event.offset);
        }
    }
    let times = accepted.iter().map(|met| met.event.time);
    expected.clock = times.chain(advances.iter().map(|a| a.clock)).max();
    accepted
}

/// Only the record itself is asked: neither the clock nor a wall clock.
fn is_future(event: &Event, max_future: Option<i64>) -> bool {
    match (event.record_time, max_future) {
        (Some(record_time), Some(ahead)) => event.time > record_time.saturating_add(ahead),
        _ => false,
    }
}

/// Sorts the events of every window into on time and late, and the windows by how they ended.
fn expect_model(index: usize, model: &Model, accepted: &[Met], expected: &mut Expected) {
    let Spec { size, grace, min_events, .. } = model.spec;
    let starts: BTreeSet<i64> =
        accepted.iter().flat_map(|met| starts_of(&model.spec, met.event.time)).collect();
    for start in starts.into_iter().filter(|&start| exists(start, model, accepted)) {
        let end = start + size;
        let mut by_key: BTreeMap<&[u8], Vec<(i64, i64)>> = BTreeMap::new();
        for Met { event, clock } in accepted {
            if !(start <= event.time && event.time < end) {
                continue;
            }
            if is_closed(end, grace, *clock) {
                expected.late_pairs.insert((index, event.offset, start));
            } else {
                by_key.entry(&event.key).or_default().push((event.time, event.offset));
            }
        }
        for (key, mut events) in by_key {
            events.sort_unstable();
            let list = if !is_closed(end, grace, expected.clock) {
                &mut expected.open
            } else if events.len() < min_events {
                &mut expected.skipped
            } else {
                &mut expected.windows
            };
            list.push(Window { model: index, key: key.to_vec(), start, end, events });
        }
    }
}

/// The starts of all windows that hold `time`; floor division, so negative times work.
pub fn starts_of(spec: &Spec, time: i64) -> Vec<i64> {
    let mut starts = Vec::new();
    let mut start = spec.offset + (time - spec.offset).div_euclid(spec.hop) * spec.hop;
    while start + spec.size > time {
        starts.push(start);
        start -= spec.hop;
    }
    starts
}

/// `end <= W`, with `W = T - grace` and T minus infinity where there is no clock yet.
fn is_closed(end: i64, grace: i64, clock: Option<i64>) -> bool {
    clock.is_some_and(|clock| end <= clock - grace)
}

fn exists(start: i64, model: &Model, accepted: &[Met]) -> bool {
    match model.floor {
        Floor::None => true,
        Floor::Value(floor) => start > floor,
        Floor::Pending => accepted.first().is_some_and(|first| start > first.event.time - 1),
    }
}

/// Counts each kind by its own rule, so that the sum is a check and not a definition.
fn count(index: usize, model: &Model, accepted: &[Met], consumed: usize, expected: &Expected) -> Counts {
    let lists = [&expected.windows, &expected.skipped, &expected.open];
    let held: BTreeSet<i64> = lists
        .into_iter()
        .flatten()
        .filter(|window| window.model == index)
        .flat_map(|window| window.events.iter().map(|&(_, offset)| offset))
        .collect();
    let late = expected.late_pairs.iter().filter(|pair| pair.0 == index).map(|pair| pair.1);
    let late: BTreeSet<i64> = late.filter(|offset| !held.contains(offset)).collect();
    let before =
        |met: &&Met| !starts_of(&model.spec, met.event.time).iter().any(|&s| exists(s, model, accepted));
    let counts = Counts {
        in_window: held.len() as u64,
        late_for_all: late.len() as u64,
        before_start: accepted.iter().filter(before).count() as u64,
        consumed: consumed as u64,
    };
    let sum = counts.in_window + counts.late_for_all + counts.before_start + expected.dead.len() as u64;
    assert_eq!(sum, counts.consumed, "an event is lost or counted twice: {counts:?}");
    counts
}
