//! The oracle against figures worked out by hand, against the live rule, and its logs against the promise
//! of what is in them.

use crate::oracle;

use oracle::log::{Rng, SINGLE, Shape, random_log, random_models};
use oracle::{Advance, Counts, Event, Expected, Floor, Model, Spec, expect, starts_of};
use std::collections::{BTreeMap, BTreeSet};

fn event(offset: i64, key: &[u8], time: i64) -> Event {
    Event { offset, key: key.to_vec(), time, record_time: None, valid: true, value: 0.0 }
}

/// One key, offsets 0, 1, 2, ...
fn times(times: &[i64]) -> Vec<Event> {
    (0..).zip(times).map(|(offset, &time)| event(offset, b"k", time)).collect()
}

fn model(size: i64, hop: i64, grace: i64) -> Model {
    Model { spec: Spec { size, hop, offset: 0, grace, min_events: 1 }, floor: Floor::None }
}

fn run(log: &[Event], model: &Model) -> Expected {
    expect(log, std::slice::from_ref(model), &[], None)
}

/// (start, offsets) of each window.
fn shown(windows: &[oracle::Window]) -> Vec<(i64, Vec<i64>)> {
    windows.iter().map(|w| (w.start, w.events.iter().map(|&(_, offset)| offset).collect())).collect()
}

fn counts(in_window: u64, late_for_all: u64, before_start: u64, consumed: u64) -> Counts {
    Counts { in_window, late_for_all, before_start, consumed }
}

#[test]
fn a_window_holds_its_start_and_not_its_end_and_closes_at_its_end() {
    let log = times(&[0, 9, 10]);
    let open = run(&log[..2], &model(10, 10, 0));
    assert_eq!((shown(&open.windows), shown(&open.open)), (vec![], vec![(0, vec![0, 1])]));
    let closed = run(&log, &model(10, 10, 0));
    assert_eq!((shown(&closed.windows), shown(&closed.open)), (vec![(0, vec![0, 1])], vec![(10, vec![2])]));
    assert_eq!((closed.windows[0].end, closed.clock), (10, Some(10)));
}

#[test]
fn grace_holds_a_window_open_until_the_clock_reaches_its_end_and_the_grace() {
    let early = run(&times(&[5, 12, 9]), &model(10, 10, 3));
    assert_eq!((shown(&early.windows), early.late_pairs.len()), (vec![], 0));
    assert_eq!(shown(&early.open), [(0, vec![0, 2]), (10, vec![1])]);
    let just = run(&times(&[5, 13, 9]), &model(10, 10, 3));
    assert_eq!(shown(&just.windows), [(0, vec![0])]);
    assert_eq!(just.late_pairs, BTreeSet::from([(0, 2, 0)]));
}

#[test]
fn size_needs_not_be_a_multiple_of_hop() {
    // 9 is in [9, 19), [6, 16), [3, 13), [0, 10); 10 has left [0, 10).
    let nine = run(&times(&[9]), &model(10, 3, 0));
    assert_eq!(shown(&nine.open).iter().map(|w| w.0).collect::<Vec<_>>(), [0, 3, 6, 9]);
    let ten = run(&times(&[10]), &model(10, 3, 0));
    assert_eq!(shown(&ten.open).iter().map(|w| w.0).collect::<Vec<_>>(), [3, 6, 9]);
    // With T = 16 only [3, 13) and [6, 16) are over; [9, 19) lives on and 16 is also in [12, 22), [15, 25).
    let both = run(&times(&[10, 16]), &model(10, 3, 0));
    assert_eq!(shown(&both.windows), [(3, vec![0]), (6, vec![0])]);
    assert_eq!(shown(&both.open), [(9, vec![0, 1]), (12, vec![1]), (15, vec![1])]);
}

#[test]
fn windows_are_aligned_below_zero_and_to_the_offset() {
    let plain = run(&times(&[-11, -10, -1, 0]), &model(10, 10, 0));
    assert_eq!(shown(&plain.windows), [(-20, vec![0]), (-10, vec![1, 2])]);
    assert_eq!(shown(&plain.open), [(0, vec![3])]);
    let mut shifted = model(10, 10, 0);
    shifted.spec.offset = 3;
    let shifted = run(&times(&[-8, -7, 2, 3]), &shifted);
    assert_eq!(shown(&shifted.windows), [(-17, vec![0]), (-7, vec![1, 2])]);
    assert_eq!(shown(&shifted.open), [(3, vec![3])]);
}

#[test]
fn sub_second_windows() {
    // 249 is in [0, 250), [100, 350), [200, 450); 250 closes the first and is in the other two.
    let got = run(&times(&[249, 250]), &model(250, 100, 0));
    assert_eq!(shown(&got.windows), [(0, vec![0])]);
    assert_eq!(shown(&got.open), [(100, vec![0, 1]), (200, vec![0, 1])]);
}

#[test]
fn an_event_late_for_one_window_still_enters_another() {
    let got = run(&times(&[12, 9, 4]), &model(10, 5, 0));
    assert_eq!(got.late_pairs, BTreeSet::from([(0, 1, 0), (0, 2, 0), (0, 2, -5)]));
    assert_eq!(shown(&got.open), [(5, vec![1, 0]), (10, vec![0])]);
    // A window whose events were all late is no window.
    assert_eq!(shown(&got.windows), []);
    assert_eq!(got.counts, [counts(2, 1, 0, 3)]);
}

#[test]
fn the_clock_belongs_to_the_partition_and_lateness_to_the_model() {
    let log = [event(0, b"a", 3), event(1, b"b", 14), event(2, b"a", 4)];
    let got = expect(&log, &[model(10, 10, 0), model(10, 10, 5), model(20, 20, 0)], &[], None);
    assert_eq!(got.late_pairs, BTreeSet::from([(0, 2, 0)]));
    assert_eq!(shown(&got.windows), [(0, vec![0])]);
    let open: Vec<_> = got.open.iter().map(|w| (w.end, w.key.as_slice(), w.model, w.events.len())).collect();
    let (a, b) = (b"a".as_slice(), b"b".as_slice());
    assert_eq!(open, [(10, a, 1, 2), (20, a, 2, 2), (20, b, 0, 1), (20, b, 1, 1), (20, b, 2, 1)]);
}

#[test]
fn each_model_counts_for_itself() {
    let mut later = model(10, 10, 0);
    later.floor = Floor::Value(20);
    let got = expect(&times(&[3, 14, 4]), &[model(10, 10, 5), model(10, 10, 0), later], &[], None);
    assert_eq!(got.counts, [counts(3, 0, 0, 3), counts(2, 1, 0, 3), counts(0, 0, 3, 3)]);
}

#[test]
fn output_is_sorted_by_end_then_key_bytes_then_model() {
    let keys: [&[u8]; 6] = [b"\xff", b"ab", b"", b"a\x00", b"a", b"\x80"];
    let mut log: Vec<Event> = (0..).zip(keys).map(|(offset, key)| event(offset, key, 5)).collect();
    log.push(event(6, b"z", 100));
    let got = expect(&log, &[model(20, 20, 0), model(10, 10, 0), model(10, 10, 1)], &[], None);
    let order: Vec<_> = got.windows.iter().map(|w| (w.end, w.key.as_slice(), w.model)).collect();
    assert_eq!(order[..4], [(10, b"".as_slice(), 1), (10, b"", 2), (10, b"a", 1), (10, b"a", 2)]);
    let keys: Vec<_> = order[12..].iter().map(|w| w.1).collect();
    assert_eq!(keys, [b"".as_slice(), b"a", b"a\x00", b"ab", b"\x80", b"\xff"]);
    assert_eq!((order[11], order[12]), ((10, b"\xff".as_slice(), 2), (20, b"".as_slice(), 0)));
}

#[test]
fn events_are_in_time_order_then_offset_order_and_duplicates_are_two() {
    let got = run(&times(&[7, 3, 7, 3, 5]), &model(10, 10, 0));
    assert_eq!(got.open[0].events, [(3, 1), (3, 3), (5, 4), (7, 0), (7, 2)]);
}

#[test]
fn a_jump_of_ten_years_closes_everything_and_makes_no_empty_windows() {
    let ten_years = 3_652 * 86_400_000;
    let got = run(&times(&[3, 8, ten_years, 9]), &model(10, 5, 0));
    assert_eq!(shown(&got.windows), [(-5, vec![0]), (0, vec![0, 1]), (5, vec![1])]);
    assert_eq!(got.late_pairs, BTreeSet::from([(0, 3, 0), (0, 3, 5)]));
    assert_eq!(got.open.len(), 2);
}

#[test]
fn a_floor_removes_windows_without_making_anything_late() {
    let mut floored = model(10, 5, 0);
    floored.floor = Floor::Value(5);
    // 14 is in [10, 20) and, below the floor, [5, 15); 9 is only below it; 12 is late for [10, 20) alone.
    let got = run(&times(&[14, 9, 20, 12]), &floored);
    assert_eq!(shown(&got.windows), [(10, vec![0])]);
    assert_eq!(got.late_pairs, BTreeSet::from([(0, 3, 10)]));
    assert_eq!(got.counts, [counts(2, 1, 1, 4)]);
}

#[test]
fn a_pending_floor_is_fixed_by_the_first_accepted_event() {
    let mut pending = model(10, 5, 0);
    pending.floor = Floor::Pending;
    // At 12 no window starts, so that event is before the start; at 15 one does.
    let got = run(&times(&[12, 15, 3]), &pending);
    assert_eq!(shown(&got.open), [(15, vec![1])]);
    assert_eq!((got.late_pairs.len(), &got.counts[..]), (0, &[counts(1, 0, 2, 3)][..]));
    let mut log = times(&[12, 15]);
    log[0].valid = false;
    let got = run(&log, &pending);
    assert_eq!(shown(&got.open), [(15, vec![1])]);
    assert_eq!((got.dead, &got.counts[..]), (BTreeSet::from([0]), &[counts(1, 0, 0, 2)][..]));
    // One after a start, that window is not whole.
    assert_eq!(shown(&run(&times(&[11, 10, 15]), &pending).open), [(15, vec![2])]);
    // Exactly at a start; an older event does not move the floor again.
    let got = run(&times(&[10, 5, 11]), &pending);
    assert_eq!(shown(&got.open), [(10, vec![0, 2])]);
}

#[test]
fn an_advance_closes_before_the_record_it_names_is_taken() {
    let log = [event(0, b"k", 5), event(4, b"k", 6), event(7, b"k", 7)];
    let models = [model(10, 10, 2)];
    let at = |before_offset, clock| expect(&log, &models, &[Advance { before_offset, clock }], None);
    // One short of end + grace, nothing closes.
    assert_eq!(shown(&at(4, 11).open), [(0, vec![0, 4, 7])]);
    for before_offset in [1, 4] {
        let got = at(before_offset, 12);
        assert_eq!((shown(&got.windows), got.clock), (vec![(0, vec![0])], Some(12)));
        assert_eq!(got.late_pairs, BTreeSet::from([(0, 4, 0), (0, 7, 0)]));
    }
    assert_eq!(shown(&at(5, 12).windows), [(0, vec![0, 4])]);
    let after = at(8, 12);
    assert_eq!((shown(&after.windows), after.late_pairs.len()), (vec![(0, vec![0, 4, 7])], 0));
    // The clock never goes back.
    assert_eq!((at(8, 3).clock, shown(&at(8, 3).open)), (Some(7), vec![(0, vec![0, 4, 7])]));
}

#[test]
fn small_windows_are_skipped_once_they_are_closed() {
    let mut two = model(10, 10, 0);
    two.spec.min_events = 2;
    // [0, 10) has two; [10, 20) has one, its second comes late; [30, 40) has one and is open.
    let got = run(&times(&[1, 2, 11, 30, 12]), &two);
    assert_eq!(shown(&got.windows), [(0, vec![0, 1])]);
    assert_eq!(shown(&got.skipped), [(10, vec![2])]);
    assert_eq!(shown(&got.open), [(30, vec![3])]);
    assert_eq!((got.late_pairs, &got.counts[..]), (BTreeSet::from([(0, 4, 10)]), &[counts(4, 1, 0, 5)][..]));
}

#[test]
fn the_future_guard_asks_the_record_alone() {
    let mut log = times(&[5, 26, 25, 6, 500]);
    for event in &mut log[..4] {
        event.record_time = Some(5);
    }
    // 26 is 21 ahead and dead; 25 is 20 ahead and closes [0, 10); 500 has no record time and no guard.
    let guarded = expect(&log, &[model(10, 10, 0)], &[], Some(20));
    assert_eq!((guarded.dead, guarded.clock), (BTreeSet::from([1]), Some(500)));
    assert_eq!(shown(&guarded.windows), [(0, vec![0]), (20, vec![2])]);
    assert_eq!(guarded.late_pairs, BTreeSet::from([(0, 3, 0)]));
    assert_eq!(guarded.counts, [counts(3, 1, 0, 5)]);
    // A dead record leaves the clock alone: without 25, the event at 6 is on time.
    log.remove(2);
    let unmoved = expect(&log[..3], &[model(10, 10, 0)], &[], Some(20));
    assert_eq!((shown(&unmoved.open), unmoved.clock), (vec![(0, vec![0, 3])], Some(6)));
    let off = expect(&log[..3], &[model(10, 10, 0)], &[], None);
    assert_eq!((off.dead.len(), off.clock), (0, Some(26)));
}

#[test]
fn nothing_comes_of_nothing() {
    let mut dead = times(&[5]);
    dead[0].valid = false;
    for log in [&[][..], &dead[..]] {
        let got = run(log, &model(10, 10, 0));
        let dead = log.iter().map(|event| event.offset).collect();
        let counts = vec![counts(0, 0, 0, log.len() as u64)];
        assert_eq!(got, Expected { dead, counts, ..Expected::default() });
    }
}

#[test]
fn starts_are_those_of_the_definition() {
    for (size, hop, offset) in [(1, 1, 0), (10, 1, 4), (10, 3, -7), (7, 7, 25), (60, 7, 1), (25, 10, 3)] {
        let spec = Spec { size, hop, offset, grace: 0, min_events: 1 };
        for time in -130..130 {
            let aligned = (-200..200).map(|k| offset + k * hop);
            let defined: BTreeSet<i64> = aligned.filter(|s| (*s..s + size).contains(&time)).collect();
            let got = starts_of(&spec, time);
            assert_eq!(
                (got.len(), got.into_iter().collect()),
                (defined.len(), defined),
                "{time} in {spec:?}"
            );
        }
    }
}

/// (end, key, model)
type Slot = (i64, Vec<u8>, usize);

/// Section 4's `live` rule, one record at a time: what the oracle says of a whole log, said another way.
struct Live<'a> {
    models: &'a [Model],
    floors: Vec<Option<i64>>,
    held: BTreeMap<Slot, Vec<(i64, i64)>>,
    got: Expected,
}

impl<'a> Live<'a> {
    fn run(log: &[Event], models: &'a [Model], advances: &[Advance], max_future: i64) -> Expected {
        let floors = models.iter().map(|m| if let Floor::Value(at) = m.floor { Some(at) } else { None });
        let mut live =
            Self { models, floors: floors.collect(), held: BTreeMap::new(), got: Expected::default() };
        let mut advances = advances.to_vec();
        advances.sort_by_key(|advance| advance.before_offset);
        let mut advances = advances.into_iter().peekable();
        let mut first = true;
        for event in log {
            while let Some(advance) = advances.next_if(|advance| advance.before_offset <= event.offset) {
                live.rise(advance.clock);
            }
            if event.valid && event.record_time.is_none_or(|at| event.time - at <= max_future) {
                live.take(event, std::mem::take(&mut first));
            } else {
                live.got.dead.insert(event.offset);
            }
        }
        advances.for_each(|advance| live.rise(advance.clock));
        live.got.open = live.held.into_iter().map(|(slot, events)| window(slot, events, models)).collect();
        live.got
    }

    fn take(&mut self, event: &Event, first: bool) {
        for (index, model) in self.models.iter().enumerate() {
            let Spec { size, hop, offset, grace, .. } = model.spec;
            if first && model.floor == Floor::Pending {
                self.floors[index] = Some(event.time - 1);
            }
            let watermark = self.got.clock.map_or(i64::MIN, |clock| clock - grace);
            let k = (event.time - offset).div_euclid(hop);
            let starts = (k - size / hop - 1..=k + 1).map(|k| offset + k * hop);
            for start in starts.filter(|s| (*s..s + size).contains(&event.time)) {
                if self.floors[index].is_some_and(|floor| start <= floor) {
                    continue;
                }
                if start + size <= watermark {
                    self.got.late_pairs.insert((index, event.offset, start));
                } else {
                    let slot = (start + size, event.key.clone(), index);
                    self.held.entry(slot).or_default().push((event.time, event.offset));
                }
            }
        }
        self.rise(event.time);
    }

    fn rise(&mut self, to: i64) {
        let clock = self.got.clock.map_or(to, |clock| clock.max(to));
        self.got.clock = Some(clock);
        let closed = |slot: &&Slot| slot.0 <= clock - self.models[slot.2].spec.grace;
        let closed: Vec<Slot> = self.held.keys().filter(closed).cloned().collect();
        for slot in closed {
            let events = self.held.remove(&slot).unwrap_or_default();
            let small = events.len() < self.models[slot.2].spec.min_events;
            let list = if small { &mut self.got.skipped } else { &mut self.got.windows };
            list.push(window(slot, events, self.models));
        }
    }
}

fn window(slot: Slot, mut events: Vec<(i64, i64)>, models: &[Model]) -> oracle::Window {
    events.sort_unstable();
    let (end, key, model) = slot;
    oracle::Window { model, key, start: end - models[model].spec.size, end, events }
}

#[test]
fn the_oracle_agrees_with_the_live_rule_on_random_logs() {
    let mut seen = [0; 6];
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let models = random_models(seed);
        let max_future = rng.pick(&[2_000, 3_600_000]);
        let log = random_log(seed, &Shape::of(&models, 20 + rng.below(130), max_future));
        let advances: Vec<Advance> = (0..rng.below(4))
            .map(|_| {
                let event = &log[1 + rng.below(log.len() - 1)];
                let clock = event.time.clamp(-1 << 50, 1 << 50) + rng.upto(20_000);
                Advance { before_offset: event.offset + rng.upto(3), clock }
            })
            .collect();
        let want = expect(&log, &models, &advances, Some(max_future));
        let got = Live::run(&log, &models, &advances, max_future);
        // The live rule closes by the clock, so only a model's own windows come in one order.
        for model in 0..models.len() {
            let of = |windows: &[oracle::Window]| -> Vec<oracle::Window> {
                windows.iter().filter(|w| w.model == model).cloned().collect()
            };
            assert_eq!(of(&got.windows), of(&want.windows), "seed {seed}");
            assert_eq!(of(&got.skipped), of(&want.skipped), "seed {seed}");
        }
        assert_eq!((got.clock, &got.open), (want.clock, &want.open), "seed {seed}");
        assert_eq!(got.late_pairs, want.late_pairs, "seed {seed}");
        assert_eq!(got.dead, want.dead, "seed {seed}");
        let sum = |of: fn(&Counts) -> u64| want.counts.iter().map(of).sum::<u64>();
        let new = [
            want.windows.len() as u64,
            want.skipped.len() as u64,
            want.open.len() as u64,
            sum(|c| c.late_for_all),
            sum(|c| c.before_start),
            want.dead.len() as u64,
        ];
        seen.iter_mut().zip(new).for_each(|(seen, new)| *seen += new);
    }
    assert!(seen.iter().all(|&n| n > 100), "the logs try too little: {seen:?}");
}

/// The first of these in each log, the others, which hang on the models, in enough of them.
#[test]
fn random_logs_have_what_they_promise() {
    const MAX_FUTURE: i64 = 3_600_000;
    const TEN_YEARS: i64 = 3_652 * 86_400_000;
    let (mut partly_late, mut as_old_as_the_jump, mut below_zero, mut at_guard) = (0, 0, 0, 0);
    let mut edges = [0; 3];
    for seed in 0..200 {
        let models = random_models(seed);
        let shape = Shape::of(&models, 64, MAX_FUTURE);
        let log = random_log(seed, &shape);
        assert_eq!(log, random_log(seed, &shape));
        let got = expect(&log, &models, &[], Some(MAX_FUTURE));
        let valid: Vec<&Event> = log.iter().filter(|e| e.valid).collect();
        let accepted: Vec<&Event> = valid.iter().copied().filter(|e| !got.dead.contains(&e.offset)).collect();
        let ahead: Vec<i64> = valid.iter().filter_map(|e| Some(e.time - e.record_time?)).collect();
        let keys: BTreeSet<&[u8]> = accepted.iter().map(|e| e.key.as_slice()).collect();
        let any = |test: &dyn Fn(&Event, &Event) -> bool| {
            accepted.iter().enumerate().any(|(i, later)| accepted[..i].iter().any(|e| test(e, later)))
        };
        let same = |a: &Event, b: &Event| a.key == b.key && a.value.to_bits() == b.value.to_bits();
        for (promise, kept) in [
            ("gaps", log.windows(2).any(|w| w[1].offset > w[0].offset + 1)),
            ("invalid records", valid.len() < log.len()),
            ("exact duplicates", any(&|a, b| a.time == b.time && same(a, b))),
            ("equal times", any(&|a, b| a.time == b.time && !same(a, b))),
            ("disorder", any(&|a, b| a.time > b.time)),
            ("an accepted jump", any(&|a, b| b.time - a.time >= TEN_YEARS)),
            ("one over the guard", ahead.contains(&(MAX_FUTURE + 1))),
            ("the far future", ahead.iter().any(|&ahead| ahead > 86_400_000)),
            ("no record time", log.iter().any(|e| e.record_time.is_none())),
            ("one single event", log.iter().filter(|e| e.key == SINGLE).count() == 1),
            ("a prefix", keys.contains(b"a".as_slice()) && keys.contains(b"ab".as_slice())),
            ("bytes", keys.iter().any(|key| std::str::from_utf8(key).is_err())),
        ] {
            assert!(kept, "seed {seed} lacks {promise}");
        }
        as_old_as_the_jump += usize::from(any(&|a, b| a.time - b.time >= TEN_YEARS / 2));
        at_guard += usize::from(ahead.contains(&MAX_FUTURE));
        below_zero += usize::from(accepted.iter().any(|e| e.time < 0));
        for (model, spec) in models.iter().map(|m| &m.spec).enumerate() {
            let mut held = got.open.iter().chain(&got.windows).filter(|w| w.model == model);
            let held: BTreeSet<i64> = held.by_ref().flat_map(|w| w.events.iter().map(|e| e.1)).collect();
            partly_late += got.late_pairs.iter().filter(|p| p.0 == model && held.contains(&p.1)).count();
            for event in &accepted {
                let distance = (event.time - spec.offset + 1).rem_euclid(spec.hop) as usize;
                edges.iter_mut().skip(distance).take(1).for_each(|n| *n += 1);
            }
        }
    }
    assert!(partly_late > 500 && edges.iter().all(|&n| n > 1_000), "{partly_late} {edges:?}");
    assert!(as_old_as_the_jump > 50 && below_zero > 50 && at_guard > 50);
}
