//! Random logs and models with everything in them that a window engine gets wrong.
//!
//! A function of seed and shape; a prefix of a log is a log, so failures shrink by cutting the tail.
//! One seed for both gives floors that lie inside the log. Record times are never negative, as in Kafka.

use super::{Event, Floor, Model, Spec};

const DAY: i64 = 86_400_000;
const TEN_YEARS: i64 = 3_652 * DAY;
/// Size and hop in ms: equal, 10/1, 10/3, 60/1 and sub-second.
const SHAPES: [(i64, i64); 6] =
    [(1_000, 1_000), (10_000, 10_000), (10_000, 1_000), (10_000, 3_000), (60_000, 1_000), (250, 100)];
/// Prefixes of each other, not UTF-8, and empty, which Kafka tells from null.
const KEYS: [&[u8]; 8] = [b"a", b"ab", b"\xff", b"a\x00", b"", b"abc", b"\xff\xfe", b"\x80z"];
pub const SINGLE: &[u8] = b"single";

/// How long a log is, whose boundaries it aims at, and which `max_future` its record times are made for.
#[derive(Clone, Debug)]
pub struct Shape {
    pub events: usize,
    pub specs: Vec<Spec>,
    pub max_future: i64,
}

impl Shape {
    pub fn of(models: &[Model], events: usize, max_future: i64) -> Self {
        Self { events, specs: models.iter().map(|model| model.spec.clone()).collect(), max_future }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    OnTime,
    Boundary,
    SameTime,
    Duplicate,
    WithinGrace,
    BeyondGrace,
    /// As old as some earlier event, which after the jump may be ten years.
    Ancient,
    AtGuard,
    PastGuard,
    FarFuture,
    /// No record time, so no guard, although it leaps ahead.
    Unstamped,
    Invalid,
}

/// Out of every 32 events, in random order.
const DECK: [(Kind, usize); 12] = [
    (Kind::OnTime, 7),
    (Kind::Boundary, 6),
    (Kind::SameTime, 2),
    (Kind::Duplicate, 2),
    (Kind::WithinGrace, 5),
    (Kind::BeyondGrace, 3),
    (Kind::Ancient, 1),
    (Kind::AtGuard, 1),
    (Kind::PastGuard, 1),
    (Kind::FarFuture, 1),
    (Kind::Unstamped, 1),
    (Kind::Invalid, 2),
];

pub fn random_log(seed: u64, shape: &Shape) -> Vec<Event> {
    let mut rng = Rng::new(seed);
    let kinds = deal(shape.events, &mut rng);
    let third = shape.events / 3;
    let jump_at = third + rng.below(third + 1);
    let single_at = kinds.iter().position(|kind| matches!(kind, Kind::OnTime));
    let used = 4 + rng.below(5);
    let mut keys: Vec<&[u8]> =
        (0..shape.events).map(|i| KEYS[if i % 2 == 0 { 0 } else { i / 2 % used }]).collect();
    rng.shuffle(&mut keys);

    let mut log: Vec<Event> = Vec::with_capacity(shape.events);
    let mut now = base(seed);
    let mut offset = rng.pick(&[0, 0, 17]);
    for (index, kind) in kinds.into_iter().enumerate() {
        let spec = &shape.specs[rng.below(shape.specs.len())];
        now += rng.pick(&[0, 0, 1, spec.hop / 3, spec.hop / 3, spec.hop, spec.size]);
        if index == jump_at {
            now += TEN_YEARS;
        }
        let mut event = Event {
            offset,
            key: keys[index].to_vec(),
            time: now,
            record_time: Some(now.max(0)),
            valid: true,
            value: index as f64 + 0.25,
        };
        bend(&mut event, kind, &log, spec, shape.max_future, &mut rng);
        if single_at == Some(index) {
            event.key = SINGLE.to_vec();
        }
        // The stream goes on from what was accepted: a rejected future must not drag record times along.
        if is_taken(&event, shape.max_future) {
            now = now.max(event.time);
        }
        log.push(event);
        offset += rng.pick(&[1, 1, 1, 1, 1, 2, 4]);
    }
    log
}

fn is_taken(event: &Event, max_future: i64) -> bool {
    event.valid && event.record_time.is_none_or(|at| event.time <= at + max_future)
}

fn deal(events: usize, rng: &mut Rng) -> Vec<Kind> {
    let mut kinds = Vec::new();
    while kinds.len() < events {
        let mut deck: Vec<Kind> = DECK.iter().flat_map(|&(kind, n)| std::iter::repeat_n(kind, n)).collect();
        rng.shuffle(&mut deck);
        kinds.append(&mut deck);
    }
    kinds.truncate(events);
    kinds
}

/// Turns an event on time into one of `kind`.
fn bend(event: &mut Event, kind: Kind, log: &[Event], spec: &Spec, max_future: i64, rng: &mut Rng) {
    let now = event.time;
    let earlier = (!log.is_empty()).then(|| &log[rng.below(log.len())]);
    match kind {
        Kind::Boundary => {
            event.time = boundary(spec, now, rng);
            event.record_time = Some(event.time.max(now).max(0));
        }
        Kind::SameTime => event.time = log.last().filter(|last| last.valid).map_or(now, |last| last.time),
        Kind::Duplicate => {
            let mut twins = log.iter().rev().skip(rng.below(4));
            if let Some(twin) = twins.find(|twin| is_taken(twin, max_future) && twin.key != SINGLE) {
                *event = Event { offset: event.offset, ..twin.clone() };
            }
        }
        Kind::WithinGrace => event.time -= rng.upto(spec.grace),
        Kind::BeyondGrace => event.time -= spec.grace + rng.upto(spec.size + spec.hop),
        Kind::Ancient => event.time = earlier.filter(|e| e.valid && e.time < now).map_or(now, |e| e.time),
        Kind::AtGuard if now >= max_future => event.record_time = Some(now - max_future),
        Kind::OnTime | Kind::AtGuard => {}
        Kind::PastGuard => {
            event.time = now.max(max_future + 1);
            event.record_time = Some(event.time - max_future - 1);
        }
        Kind::FarFuture => {
            event.time = now.max(0) + max_future + rng.pick(&[DAY, TEN_YEARS]);
            event.record_time = Some(now.max(0));
        }
        Kind::Unstamped => {
            event.record_time = None;
            event.time += rng.pick(&[0, spec.size, max_future + 1]);
        }
        Kind::Invalid => {
            event.valid = false;
            event.time = rng.pick(&[now, now + TEN_YEARS, i64::MIN, i64::MAX]);
        }
    }
}

/// -1, 0 or +1 ms from where a window starts, ends, or is closed by this very event.
fn boundary(spec: &Spec, now: i64, rng: &mut Rng) -> i64 {
    let end = spec.offset + spec.size;
    let anchor = rng.pick(&[spec.offset, end, end + spec.grace]);
    let below = now - (now - anchor).rem_euclid(spec.hop);
    below + rng.pick(&[0, spec.hop]) + rng.pick(&[-1, 0, 1])
}

/// One to four models on one clock; the first has no floor, so that a log always makes windows.
pub fn random_models(seed: u64) -> Vec<Model> {
    let mut rng = Rng::new(seed ^ 0x6d6f_6465_6c73);
    let mut models = Vec::new();
    for index in 0..=rng.below(4) {
        let (size, hop) = rng.pick(&SHAPES);
        let spec = Spec {
            size,
            hop,
            offset: rng.pick(&[0, 0, 1, -7, hop / 2, hop - 1, 12_345, -size - 1]),
            grace: rng.pick(&[0, 0, 1, hop, size / 2, 3_000, 2 * size]),
            min_events: rng.pick(&[1, 1, 1, 2, 5]),
        };
        let inside = base(seed) + rng.upto(4 * size);
        let floor = match rng.below(4) {
            1 if index > 0 => Floor::Value(inside),
            2 if index > 0 => Floor::Pending,
            _ => Floor::None,
        };
        models.push(Model { spec, floor });
    }
    models
}

/// Where a log begins: just before the epoch so that it crosses zero, well before it, at it, or in 2019.
fn base(seed: u64) -> i64 {
    let mut rng = Rng::new(seed ^ 0x6261_7365);
    rng.pick(&[-20_000, -400 * DAY, 0, 1_546_300_800_000]) + rng.upto(9_999)
}

/// splitmix64.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// 0..=n
    pub fn upto(&mut self, n: i64) -> i64 {
        (self.next() % (n as u64 + 1)) as i64
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
