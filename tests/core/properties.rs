//! Properties of the core against the naive oracle: random logs through random schedules, with and without crashes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use engine::Settings;
use millstream::metrics::Metrics;
use millstream::sink::MemoryLog;
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Advance, Event, Floor, Model, Spec, expect};

const MAX_FUTURE: i64 = 60_000;
/// More than any run needs to come to its end.
const ROUNDS: usize = 100_000;

fn dense(mut log: Vec<Event>) -> Vec<Event> {
    for (offset, event) in log.iter_mut().enumerate() {
        event.offset = offset as i64;
    }
    log
}

fn case(seed: u64, events: usize) -> (Vec<Model>, Vec<Event>) {
    let models = random_models(seed);
    let log = dense(random_log(seed, &Shape::of(&models, events, MAX_FUTURE)));
    (models, log)
}

/// Runs a log through the engine by a random schedule; crashes `crashes` times, at any step. Returns what idle
/// advances were committed.
fn run(
    seed: u64,
    models: &[Model],
    events: &[Event],
    settings: &Settings,
    crashes: usize,
) -> (MemoryLog, Vec<Advance>, Arc<Metrics>) {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let plan = engine::plan(models, settings);
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    engine::commit_floors(&plan, models, &log);
    let metrics = Arc::new(Metrics::new(&plan));
    let mut app = engine::start(&plan, &metrics, &log, settings, Rng::new(rng.next()), false);
    let (mut fed, mut crashes, mut advances) = (0, crashes, Vec::new());
    while fed < events.len() || crashes > 0 {
        match rng.below(8) {
            0..=2 => {
                for event in events.iter().skip(fed).take(1 + rng.below(9)) {
                    engine::append(&log, event);
                    fed += 1;
                }
            }
            3 | 4 => {
                app.ingest().unwrap();
            }
            5 => {
                app.predict().unwrap();
            }
            6 => {
                app.advance(rng.below(5) as i64);
                if settings.idle_timeout.is_some() && rng.below(2) == 0 {
                    app.advance(rng.below(300_000) as i64);
                }
            }
            _ => {
                app.commit().unwrap();
                advances.extend(engine::advance_in(&log));
            }
        }
        if crashes > 0 && rng.below(12) == 0 {
            crashes -= 1;
            let now = app.now();
            app = engine::start(&plan, &metrics, &log, settings, Rng::new(rng.next()), false);
            app.advance(now.mono - app.now().mono);
        }
    }
    app.run_until(false);
    let mut rounds = 0;
    while !app.ingest().unwrap() {
        rounds += 1;
        assert!(rounds < ROUNDS, "seed {seed}: the run does not end");
        app.predict().unwrap();
        app.commit().unwrap();
        advances.extend(engine::advance_in(&log));
        app.advance(1);
    }
    advances.dedup();
    (log, advances, metrics)
}

#[test]
fn every_window_is_complete_in_order_and_emitted_once() {
    for seed in 0..400 {
        let (models, events) = case(seed, 64 + (seed as usize % 5) * 60);
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let (log, _, metrics) = run(seed, &models, &events, &settings, 0);
        let expected = expect(&events, &models, &[], Some(MAX_FUTURE));
        engine::check(&log, &models, &expected);
        for (counters, counts) in metrics.models.iter().zip(&expected.counts) {
            let found = [counters.events.get(), counters.late_events.get(), counters.before_start.get()];
            assert_eq!(found, [counts.in_window, counts.late_for_all, counts.before_start], "seed {seed}");
            let dead = metrics.sources[0].dead_letters_total();
            assert_eq!(found.iter().sum::<u64>() + dead, metrics.sources[0].consumed.get(), "seed {seed}");
            assert_eq!(counts.consumed, metrics.sources[0].consumed.get());
        }
    }
}

#[test]
fn committed_output_after_crashes_at_any_step_equals_the_crash_free_one() {
    for seed in 0..600 {
        let (models, events) = case(seed, 64 + (seed as usize % 4) * 40);
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let (log, _, _) = run(seed, &models, &events, &settings, 1 + seed as usize % 8);
        engine::check(&log, &models, &expect(&events, &models, &[], Some(MAX_FUTURE)));
    }
}

#[test]
fn idle_advances_are_facts_that_crashes_do_not_change() {
    let mut total = 0;
    for seed in 0..600 {
        let models: Vec<Model> = random_models(seed);
        let events = dense(random_log(seed, &Shape::of(&models, 96, MAX_FUTURE)));
        let settings = Settings {
            poll: 50,
            max_future: Some(MAX_FUTURE),
            idle_timeout: Some(5_000),
            ..Settings::default()
        };
        let (log, advances, _) = run(seed, &models, &events, &settings, seed as usize % 6);
        total += advances.len();
        engine::check(&log, &models, &expect(&events, &models, &advances, Some(MAX_FUTURE)));
    }
    assert!(total > 100, "only {total} idle advances in all runs: the test has no teeth");
}

#[test]
fn transactions_that_abort_or_end_unknown_lose_and_repeat_nothing() {
    let mut unknown = 0;
    for seed in 0..400 {
        let (models, events) = case(seed, 64 + (seed as usize % 4) * 40);
        let settings = Settings {
            max_future: Some(MAX_FUTURE),
            idle_timeout: (seed % 2 == 0).then_some(5_000),
            faults_one_in: 2 + seed as usize % 5,
            ..Settings::default()
        };
        let (log, advances, metrics) = run(seed, &models, &events, &settings, seed as usize % 3);
        unknown += metrics.transactions_unknown.get();
        if seed % 3 == 0 {
            assert_eq!(
                metrics.inflight.get(),
                0,
                "seed {seed}: bytes in flight after the end, without a crash"
            );
        }
        engine::check(&log, &models, &expect(&events, &models, &advances, Some(MAX_FUTURE)));
    }
    assert!(unknown > 200, "only {unknown} unknown outcomes in all runs: the test has no teeth");
}

#[test]
fn poll_sizes_batch_sizes_and_schedules_do_not_change_a_byte() {
    for seed in 0..60 {
        let (models, events) = case(seed, 200);
        let mut outputs = Vec::new();
        for (poll, max_batch, schedule) in [(1, 1, 1), (3, 7, 2), (1000, 256, 3)] {
            let settings = Settings { poll, max_batch, max_future: Some(MAX_FUTURE), ..Settings::default() };
            let (log, _, _) = run(schedule, &models, &events, &settings, 0);
            outputs
                .push((0..models.len()).map(|model| log.topic(&format!("out{model}"))).collect::<Vec<_>>());
        }
        assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}");
    }
}

#[test]
fn keys_that_come_and_go_in_bursts_change_nothing() {
    for seed in 0..200 {
        let (models, mut events) = case(seed, 600);
        for (index, event) in events.iter_mut().enumerate() {
            let keys = if index / 100 % 2 == 0 { 90 } else { 2 + seed as usize % 5 };
            event.key = format!("key {}", index % keys).into_bytes();
        }
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let (log, _, _) = run(seed, &models, &events, &settings, seed as usize % 3);
        engine::check(&log, &models, &expect(&events, &models, &[], Some(MAX_FUTURE)));
    }
}

#[test]
fn a_model_keeps_its_windows_whatever_other_models_are_on_the_source() {
    let spec = |size, hop, grace| Spec { size, hop, offset: 0, grace, min_events: 1 };
    let model = |spec| Model { spec, floor: Floor::None };
    let models =
        [model(spec(10_000, 1_000, 0)), model(spec(10_000, 3_000, 5_000)), model(spec(250, 100, 60_000))];
    for seed in 0..40 {
        let events = dense(random_log(seed, &Shape::of(&models, 200, MAX_FUTURE)));
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let (together, _, _) = run(seed, &models, &events, &settings, 2);
        for (index, one) in models.iter().enumerate() {
            let (alone, _, _) = run(seed + 1, std::slice::from_ref(one), &events, &settings, 2);
            let windows =
                |log: &MemoryLog, model: usize| engine::produced(log, models.len()).swap_remove(model);
            let of_alone: Vec<_> =
                windows(&alone, 0).into_iter().map(|w| (w.key, w.start, w.events)).collect();
            let of_all: Vec<_> =
                windows(&together, index).into_iter().map(|w| (w.key, w.start, w.events)).collect();
            assert_eq!(of_alone, of_all, "seed {seed}");
        }
    }
}
