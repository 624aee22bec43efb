//! Adoption: an app that has changed goes on where its group stands. Models that have not changed lose nothing; others
//! begin with the first window that starts after the clock; a crash in between changes nothing of that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::sync::Arc;

use engine::Settings;
use millstream::config::Plan;
use millstream::metadata::Metadata;
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::sink::MemoryLog;
use oracle::log::{Rng, Shape, random_log};
use oracle::{Event, Floor, Model, Spec, Window, expect};

const MAX_FUTURE: i64 = 60_000;

fn model(size: i64, hop: i64, grace: i64) -> Model {
    Model { spec: Spec { size, hop, offset: 0, grace, min_events: 1 }, floor: Floor::None }
}

fn start(plan: &Arc<Plan>, log: &MemoryLog, rng: &mut Rng, adopt: bool) -> Offline<engine::Flaky> {
    let settings = Settings { faults_one_in: 5, ..Settings::default() };
    engine::start(plan, &Arc::new(Metrics::new(plan)), log, &settings, Rng::new(rng.next()), adopt)
}

/// Some steps of an app in random order, then it is gone.
fn live(
    app: &mut Offline<engine::Flaky>,
    log: &MemoryLog,
    events: &[Event],
    fed: &mut usize,
    rng: &mut Rng,
    steps: usize,
) {
    for _ in 0..steps {
        match rng.below(5) {
            0 => {
                for event in events.iter().skip(*fed).take(1 + rng.below(9)) {
                    engine::append(log, event);
                    *fed += 1;
                }
            }
            1 | 2 => drop(app.ingest().unwrap()),
            3 => drop(app.predict().unwrap()),
            _ => drop(app.commit().unwrap()),
        }
        app.advance(1);
    }
}

fn clock(log: &MemoryLog) -> Option<i64> {
    log.committed(&engine::partition()).and_then(|(_, text)| Metadata::decode(&text).unwrap().clock)
}

fn windows(log: &MemoryLog, index: usize, size: i64) -> Vec<Window> {
    engine::produced(log, index + 1)
        .swap_remove(index)
        .into_iter()
        .filter(|w| w.end - w.start == size)
        .collect()
}

#[test]
fn unchanged_models_continue_and_others_begin_after_the_clock() {
    let mut adopted_in_mid_log = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let before = [model(10_000, 1_000, 2_000), model(10_000, 3_000, 0)];
        let after = [before[0].clone(), model(7_000, 2_000, 4_000), model(20_000, 5_000, 1_000)];
        let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
        let (old, new) = (engine::plan(&before, &settings), engine::plan(&after, &settings));
        let mut events = random_log(seed, &Shape::of(&after, 160, MAX_FUTURE));
        for (offset, event) in events.iter_mut().enumerate() {
            event.offset = offset as i64;
        }
        let log = MemoryLog::default();
        log.create(engine::TOPIC, 1);
        let mut fed = 0;
        let mut app = start(&old, &log, &mut rng, false);
        live(&mut app, &log, &events, &mut fed, &mut rng, 60);
        if log.committed(&engine::partition()).is_none() {
            continue;
        }
        let begun = clock(&log);
        adopted_in_mid_log += usize::from(begun.is_some());
        // The adoption itself may be interrupted, and is then begun again.
        for _ in 0..2 {
            app = start(&new, &log, &mut rng, true);
            let steps = rng.below(4);
            live(&mut app, &log, &events, &mut fed, &mut rng, steps);
        }
        app = start(&new, &log, &mut rng, true);
        live(&mut app, &log, &events, &mut fed, &mut rng, 200);
        for event in &events[fed..] {
            engine::append(&log, event);
        }
        app.run_until(false);
        while !app.ingest().unwrap() {
            app.predict().unwrap();
            app.commit().unwrap();
            app.advance(1);
        }
        let floor = begun.map_or(Floor::None, Floor::Value);
        let begins = |model: &Model| Model { floor: floor.clone(), ..model.clone() };
        let models = [after[0].clone(), begins(&after[1]), begins(&after[2])];
        let expected = expect(&events, &models, &[], Some(MAX_FUTURE)).windows;
        for (index, model) in models.iter().enumerate() {
            let wanted: Vec<_> = expected.iter().filter(|window| window.model == index).cloned().collect();
            assert_eq!(
                windows(&log, index, model.spec.size),
                wanted,
                "seed {seed}, model {index}, floor {floor:?}"
            );
        }
    }
    assert!(
        adopted_in_mid_log > 100,
        "only {adopted_in_mid_log} adoptions in mid-log: the test has no teeth"
    );
}

#[test]
fn without_adopt_a_changed_app_is_refused_with_the_ways_on() {
    let settings = Settings::default();
    let (old, new) =
        (engine::plan(&[model(10, 10, 0)], &settings), engine::plan(&[model(10, 5, 0)], &settings));
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    engine::commit_floors(&old, &[model(10, 10, 0)], &log);
    let error = start(&new, &log, &mut Rng::new(1), false).ingest().unwrap_err().to_string();
    for part in ["m0", "hop 10 ms", "hop 5 ms", "--adopt", "group_id"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let moved = Settings { max_future: Some(5), ..settings };
    let same_windows = engine::plan(&[model(10, 10, 0)], &moved);
    assert!(start(&same_windows, &log, &mut Rng::new(1), false).ingest().is_err());
    assert!(start(&same_windows, &log, &mut Rng::new(1), true).ingest().is_ok());
}
