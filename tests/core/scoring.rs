//! Models that score every event: through random schedules, crashes and faults of the sink each event is scored once, in
//! offset order, under one id; windows beside them are what they are without them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{engine, oracle};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use engine::Settings;
use millstream::batch::{Batch, WindowMeta};
use millstream::config::{ModelConfig, Plan};
use millstream::error::{Error, Result};
use millstream::metadata::{FloorText, Metadata};
use millstream::metrics::Metrics;
use millstream::offline::Offline;
use millstream::predict::{Column, Model as Predict, Outputs};
use millstream::record::Key;
use millstream::sink::{MemoryLog, MemoryRecord};
use millstream::strikes::{Namer, Trust};
use oracle::log::{Rng, Shape, random_log, random_models};
use oracle::{Event, Floor, Model, Spec, expect};
use serde_json::Value;

const MAX_FUTURE: i64 = 60_000;

/// The plan with a model of single events beside its windows.
fn scoring(models: &[Model], settings: &Settings, max_wait: i64) -> Arc<Plan> {
    let mut plan = (*engine::plan(models, settings)).clone();
    let scorer = ModelConfig {
        name: "scorer".to_owned(),
        sink: "scores".to_owned(),
        size_ms: 1,
        hop_ms: 1,
        offset_ms: 0,
        grace_ms: 0,
        min_events: 1,
        timestamps: false,
        max_wait_ms: Some(max_wait),
        ..plan.models[0].clone()
    };
    // In the middle, so that its place among all models is not that among those of its kind.
    plan.models.insert(1, scorer);
    Arc::new(plan)
}

/// The same without windows.
fn scoring_alone(settings: &Settings, max_wait: i64) -> Arc<Plan> {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let mut plan = (*scoring(&[Model { spec, floor: Floor::None }], settings, max_wait)).clone();
    plan.models.remove(0);
    Arc::new(plan)
}

/// Echoes windows, and of events returns the sequence number; raises on those of `poison`.
fn model(poison: impl Fn(i64) -> bool + Send + Sync + 'static) -> Arc<dyn Predict> {
    Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
        if batch.timestamps.is_some() {
            return engine::echo(batch);
        }
        let seqs: Vec<i64> = (0..batch.len()).map(|row| batch.values.get(row) as i64).collect();
        let offsets: Vec<i64> = batch.windows.iter().map(|event| event.offsets.0).collect();
        assert_eq!(seqs, offsets, "the values of an event are its own");
        if let Some(bad) = seqs.iter().find(|seq| poison(**seq)) {
            return Err(Error::ModelRaised {
                model: "scorer".into(),
                summary: format!("ValueError: {bad}"),
                traceback: "Traceback".into(),
                fatal: false,
                window: None,
                cause: "boom".into(),
            });
        }
        Ok(vec![("seq".to_owned(), Column::Ints(seqs))].into())
    })
}

fn never(_: i64) -> bool {
    false
}

/// A log whose offsets are its places.
fn events_of(seed: u64, models: &[Model], count: usize) -> Vec<Event> {
    let mut events = random_log(seed, &Shape::of(models, count, MAX_FUTURE));
    for (offset, event) in events.iter_mut().enumerate() {
        event.offset = offset as i64;
    }
    events
}

/// Runs a log by a random schedule with `crashes` crashes, to the end.
fn run(
    seed: u64,
    plan: &Arc<Plan>,
    log: &MemoryLog,
    events: &[Event],
    settings: &Settings,
    crashes: usize,
    predict: &Arc<dyn Predict>,
) -> Arc<Metrics> {
    let mut rng = Rng::new(seed ^ 0x5c0e);
    let metrics = Arc::new(Metrics::new(plan));
    let start = |rng: &mut Rng| {
        engine::start_with(plan, &metrics, log, settings, Rng::new(rng.next()), false, predict)
    };
    let (mut app, mut fed, mut left) = (start(&mut rng), 0, crashes);
    while fed < events.len() || left > 0 {
        match rng.below(8) {
            0..=2 => {
                for event in events.iter().skip(fed).take(1 + rng.below(20)) {
                    engine::append(log, event);
                    fed += 1;
                }
            }
            3 | 4 => drop(app.ingest().unwrap()),
            5 => drop(app.predict().unwrap()),
            6 => app.advance([1, 100, 6_000][rng.below(3)]),
            _ => drop(app.commit().unwrap()),
        }
        if left > 0 && rng.below(12) == 0 {
            left -= 1;
            let now = app.now();
            app = start(&mut rng);
            app.advance(now.mono - app.now().mono);
        }
    }
    to_the_end(&mut app);
    metrics
}

fn to_the_end(app: &mut Offline<engine::Flaky>) {
    app.run_until(false);
    while !app.ingest().unwrap() {
        app.predict().unwrap();
        app.commit().unwrap();
        app.advance(50);
    }
}

fn fresh() -> MemoryLog {
    let log = MemoryLog::default();
    log.create(engine::TOPIC, 1);
    log
}

/// Commits what a group would have committed whose models of windows have these floors; that of the scorer, whichever it
/// is, must not become another's.
fn commit_floors(plan: &Plan, models: &[Model], log: &MemoryLog) {
    let mut metadata = Metadata::of(plan, 0, None, 1);
    let mut floors: Vec<_> = models.iter().map(|model| model.floor.clone()).collect();
    floors.insert(1, Floor::Value(i64::MAX));
    for (text, floor) in metadata.models.iter_mut().zip(floors) {
        text.floor = FloorText::from(match floor {
            Floor::None => millstream::window::Floor::None,
            Floor::Value(time) => millstream::window::Floor::At(time),
            Floor::Pending => millstream::window::Floor::Pending,
        });
    }
    log.commit(&engine::partition(), 0, metadata.encode());
}

fn scores(log: &MemoryLog) -> Vec<MemoryRecord> {
    log.topic("scores").into_iter().flatten().collect()
}

fn json(record: &MemoryRecord) -> Value {
    serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()
}

fn offsets(records: &[MemoryRecord]) -> Vec<i64> {
    records.iter().map(|record| json(record)["offset"].as_i64().unwrap()).collect()
}

/// The offsets of the accepted events.
fn accepted(events: &[Event]) -> Vec<i64> {
    let dead = expect(events, &[], &[], Some(MAX_FUTURE)).dead;
    events.iter().map(|event| event.offset).filter(|offset| !dead.contains(offset)).collect()
}

#[test]
fn each_event_is_scored_once_in_offset_order_beside_windows_that_do_not_change() {
    let mut replayed = 0;
    for seed in 0..300_u64 {
        let models = random_models(seed);
        let events = events_of(seed, &models, 64 + (seed as usize % 4) * 60);
        let settings = Settings {
            max_future: Some(MAX_FUTURE),
            max_batch: [1, 3, 16, 256][seed as usize % 4],
            faults_one_in: [0, 3, 6][seed as usize % 3],
            ..Settings::default()
        };
        let plan = scoring(&models, &settings, [0, 1, 5_000][seed as usize / 4 % 3]);
        let log = fresh();
        commit_floors(&plan, &models, &log);
        let crashes = seed as usize % 5;
        let metrics = run(seed, &plan, &log, &events, &settings, crashes, &model(never));
        let expected = expect(&events, &models, &[], Some(MAX_FUTURE));
        engine::check(&log, &models, &expected);
        let found = scores(&log);
        assert_eq!(offsets(&found), accepted(&events), "seed {seed}");
        for (record, offset) in found.iter().zip(offsets(&found)) {
            let event = &events[offset as usize];
            let value = json(record);
            assert_eq!(record.key.as_deref(), Some(&event.key[..]));
            assert_eq!(record.timestamp, Some(event.time.max(0)));
            assert_eq!((&value["timestamp"], &value["seq"]), (&event.time.into(), &offset.into()));
        }
        if crashes == 0 && settings.faults_one_in == 0 {
            let counts = &metrics.models[1];
            assert_eq!(counts.events.get(), found.len() as u64);
            assert_eq!(counts.windows_produced.get(), found.len() as u64);
            let dead = metrics.sources[0].dead_letters_total();
            assert_eq!(metrics.sources[0].consumed.get(), counts.windows_produced.get() + dead);
            assert_eq!(metrics.inflight.get(), 0);
        }
        let (next, text) = log.committed(&engine::partition()).unwrap();
        replayed += usize::from(crashes > 0 && Metadata::decode(&text).unwrap().replay_from < next);
    }
    assert!(replayed > 100, "only {replayed} runs had anything to replay");
}

#[test]
fn ids_do_not_depend_on_batches_crashes_or_models_beside() {
    let models = random_models(3);
    let events = events_of(3, &models, 200);
    let ids = |plan: &Arc<Plan>, seed: u64, max_batch: usize| {
        let settings = Settings { max_batch, max_future: Some(MAX_FUTURE), ..Settings::default() };
        let log = fresh();
        run(seed, plan, &log, &events, &settings, seed as usize, &model(never));
        scores(&log).iter().map(|record| engine::header(record, "id")).collect::<Vec<_>>()
    };
    let settings = Settings { max_future: Some(MAX_FUTURE), ..Settings::default() };
    let (beside, alone) = (scoring(&models, &settings, 0), scoring_alone(&settings, 5));
    let wanted = ids(&beside, 0, 256);
    assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), accepted(&events).len());
    assert_eq!(ids(&beside, 4, 3), wanted);
    assert_eq!(ids(&alone, 2, 16), wanted);
}

#[test]
fn poison_events_are_dead_letters_once_and_their_siblings_are_scored() {
    for seed in 0..150_u64 {
        let models = random_models(seed);
        let events = events_of(seed, &models, 200);
        let settings = Settings {
            max_future: Some(MAX_FUTURE),
            max_batch: [1, 3, 16, 256][seed as usize % 4],
            faults_one_in: [0, 3, 6][seed as usize % 3],
            ..Settings::default()
        };
        let one_in = 2 + seed as i64 % 7;
        let plan = scoring_alone(&settings, 3);
        let log = fresh();
        let poison = model(move |seq| ((seq * 0x9e37) >> 3) % one_in == 0);
        run(seed, &plan, &log, &events, &settings, seed as usize % 4, &poison);
        let (dead, good): (Vec<i64>, Vec<i64>) =
            accepted(&events).into_iter().partition(|seq| ((seq * 0x9e37) >> 3) % one_in == 0);
        assert_eq!(offsets(&scores(&log)), good, "seed {seed}");
        let letters = log.topic("app.dead-letter").into_iter().flatten();
        let of_model: Vec<_> =
            letters.filter(|letter| engine::header(letter, "reason") == "model_error").collect();
        assert_eq!(offsets(&of_model), dead, "seed {seed}");
        for letter in of_model {
            let offset = engine::header(&letter, "offset");
            assert_eq!(json(&letter)["values"][0][0].to_string(), format!("{offset}.0"));
        }
    }
}

#[test]
fn an_event_waits_for_others_no_longer_than_it_may() {
    let sizes = Arc::new(Mutex::new(Vec::<usize>::new()));
    let seen = sizes.clone();
    let predict: Arc<dyn Predict> = Arc::new(move |batch: &mut Batch| -> Result<Outputs> {
        seen.lock().unwrap().push(batch.len());
        Ok(vec![("n".to_owned(), Column::Ints(vec![0; batch.len()]))].into())
    });
    let settings = Settings { max_batch: 10, poll: 100, ..Settings::default() };
    let mut plan = (*scoring_alone(&settings, 50)).clone();
    plan.epoch_ms = Some(1_000_000);
    let (plan, log) = (Arc::new(plan), fresh());
    let metrics = Arc::new(Metrics::new(&plan));
    let mut app = engine::start_with(&plan, &metrics, &log, &settings, Rng::new(1), false, &predict);
    let mut at = 0;
    let mut feed = |count: usize| {
        for _ in 0..count {
            let event =
                Event { offset: at, key: b"k".to_vec(), time: 0, record_time: None, valid: true, value: 0.0 };
            engine::append(&log, &event);
            at += 1;
        }
    };
    let step = |app: &mut Offline<engine::Flaky>| {
        app.ingest().unwrap();
        app.predict().unwrap();
        app.commit().unwrap();
        std::mem::take(&mut *sizes.lock().unwrap())
    };
    let none: [usize; 0] = [];
    // The clock of a test begins with the first event.
    feed(1);
    while step(&mut app).is_empty() {}
    feed(7);
    assert_eq!(step(&mut app), none);
    feed(2);
    app.advance(49);
    assert_eq!(step(&mut app), none);
    feed(1);
    assert_eq!(step(&mut app), [10], "as many as max_events are there");
    feed(23);
    assert_eq!((step(&mut app), step(&mut app)), (vec![10], vec![10]), "a pool of one takes one at a time");
    assert_eq!(step(&mut app), none);
    app.advance(49);
    assert_eq!(step(&mut app), none);
    app.advance(1);
    assert_eq!(step(&mut app), [3], "the first one has waited for max_wait");
    feed(4);
    assert_eq!(step(&mut app), none);
    app.run_until(false);
    assert_eq!(step(&mut app), none, "the cut comes after what could be handed out");
    assert_eq!(step(&mut app), [4], "an epoch that is cut waits for nothing");
}

#[test]
fn what_an_app_without_such_models_commits_stays_as_it_was() {
    let spec = Spec { size: 10, hop: 5, offset: 1, grace: 2, min_events: 1 };
    let models = [Model { spec, floor: Floor::None }];
    let settings = Settings::default();
    let rules = "\"v\":\"key=record fields=1:1d526904 context=1:d07b805e missing=dead_letter max_future=none \
                 format=json\",\"c\":\"ts:ms\"";
    let text = |plan: &Plan| Metadata::of(plan, 0, None, 1).encode();
    assert_eq!(
        text(&engine::plan(&models, &settings)),
        format!(
            "{{\"millstream\":1,\"id\":null,\"p\":1,\"r\":0,\"t\":null,\"j\":null,\"d\":false,{rules},\
             \"m\":[{{\"n\":\"m0\",\"w\":[10,5,1,2],\"f\":null}}]}}"
        )
    );
    assert!(
        text(&scoring(&models, &settings, 0)).ends_with("{\"n\":\"scorer\",\"w\":[0,0,0,0],\"f\":null}]}")
    );
}

/// Some steps of an app in random order, then it is gone.
fn live(app: &mut Offline<engine::Flaky>, log: &MemoryLog, events: &[Event], fed: &mut usize, rng: &mut Rng) {
    for _ in 0..60 {
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

#[test]
fn an_adopted_model_of_events_begins_with_the_first_event_that_is_not_committed() {
    let mut in_mid_log = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let spec = Spec { size: 10_000, hop: 3_000, offset: 0, grace: 2_000, min_events: 1 };
        let models = [Model { spec, floor: Floor::None }];
        let settings =
            Settings { max_future: Some(MAX_FUTURE), faults_one_in: 5, max_batch: 7, ..Settings::default() };
        let (old, new) = (engine::plan(&models, &settings), scoring(&models, &settings, 2));
        let events = events_of(seed, &models, 200);
        let (log, mut fed) = (fresh(), 0);
        let predict = model(never);
        let start = |plan: &Arc<Plan>, rng: &mut Rng, adopt: bool| {
            let metrics = Arc::new(Metrics::new(plan));
            engine::start_with(plan, &metrics, &log, &settings, Rng::new(rng.next()), adopt, &predict)
        };
        let mut app = start(&old, &mut rng, false);
        live(&mut app, &log, &events, &mut fed, &mut rng);
        let Some((begun, _)) = log.committed(&engine::partition()) else { continue };
        in_mid_log += usize::from(begun > 0);
        let refused = start(&new, &mut rng, false).ingest().unwrap_err().to_string();
        assert!(refused.contains("model scorer was absent") && refused.contains("--adopt"), "{refused}");
        app = start(&new, &mut rng, true);
        live(&mut app, &log, &events, &mut fed, &mut rng);
        app = start(&new, &mut rng, true);
        for event in &events[fed..] {
            engine::append(&log, event);
        }
        to_the_end(&mut app);
        engine::check(&log, &models, &expect(&events, &models, &[], Some(MAX_FUTURE)));
        let wanted: Vec<i64> = accepted(&events).into_iter().filter(|offset| *offset >= begun).collect();
        assert_eq!(offsets(&scores(&log)), wanted, "seed {seed}, adopted at {begun}");
        // Back to windows alone, and to each event in place of a window of the same name: both are changes.
        assert!(start(&old, &mut rng, false).ingest().unwrap_err().to_string().contains("model scorer"));
        let mut renamed = (*new).clone();
        renamed.models.remove(0);
        renamed.models[0].name = "m0".to_owned();
        let refused = start(&Arc::new(renamed), &mut rng, false).ingest().unwrap_err().to_string();
        assert!(refused.contains("the window of model m0 was size 10000 ms"), "{refused}");
        assert!(refused.contains("is each event now"), "{refused}");
    }
    assert!(in_mid_log > 100, "only {in_mid_log} adoptions in mid-log");
}

#[test]
fn a_window_that_joins_a_group_which_began_in_mid_log_knows_it() {
    let spec = Spec { size: 10, hop: 10, offset: 0, grace: 0, min_events: 1 };
    let models = [Model { spec, floor: Floor::None }];
    let settings = Settings::default();
    let alone = Metadata::of(&scoring_alone(&settings, 0), 0, None, 1);
    let both = Metadata::of(&scoring(&models, &settings, 0), 0, None, 1);
    let floors = |metadata: Metadata| metadata.models.into_iter().map(|m| m.floor).collect::<Vec<_>>();
    let pending = FloorText::from(millstream::window::Floor::Pending);
    let begun = alone.clone().beginning_at(70);
    let adopted = both.clone().adopting(begun.clone(), 70, "p").unwrap();
    assert_eq!(floors(adopted), [pending.clone(), pending]);
    let later = Metadata { clock: Some(500), ..begun };
    assert_eq!(floors(both.clone().adopting(later, 90, "p").unwrap())[0], FloorText::At(500));
    let windows = Metadata::of(&engine::plan(&models, &settings), 0, None, 1);
    let joined = both.adopting(Metadata { clock: Some(500), ..windows }, 90, "p").unwrap();
    assert_eq!(floors(joined), [FloorText::None(()), FloorText::None(())], "an event has no floor in time");
}

#[test]
fn an_event_that_ended_the_run_is_remembered_until_it_is_committed() {
    let settings = Settings { poll: 5, max_batch: 5, ..Settings::default() };
    let (plan, log) = (scoring_alone(&settings, 0), fresh());
    let struck = WindowMeta {
        assignment: 0,
        epoch: 0,
        partition: 0,
        key: Key::from(&b"k"[..]),
        // Long before the clock of the events that come first.
        start: 1,
        end: 2,
        events: 1,
        offsets: (19, 19),
        trust: Trust::Full,
    };
    let mut metadata = Metadata::of(&plan, 0, None, 1);
    metadata.extension.struck_events.strike(&Namer::new(&plan, 0), &[struck], true);
    log.commit(&engine::partition(), 0, metadata.encode());
    let predict: Arc<dyn Predict> = Arc::new(|batch: &mut Batch| -> Result<Outputs> {
        let alone = batch.windows.iter().any(|event| event.offsets.0 == 19);
        assert!(!alone || batch.len() == 1, "what has ended a run is called alone");
        Ok(vec![("n".to_owned(), Column::Ints(vec![0; batch.len()]))].into())
    });
    let metrics = Arc::new(Metrics::new(&plan));
    let mut app = engine::start_with(&plan, &metrics, &log, &settings, Rng::new(1), false, &predict);
    for offset in 0..40 {
        let time = if offset == 19 { 1 } else { 1_000 };
        let event = Event { offset, key: b"k".to_vec(), time, record_time: None, valid: true, value: 0.0 };
        engine::append(&log, &event);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        app.ingest().unwrap();
        app.predict().unwrap();
        app.commit().unwrap();
        app.advance(1);
        let (next, text) = log.committed(&engine::partition()).unwrap();
        let remembered = !Metadata::decode(&text).unwrap().extension.struck_events.is_empty();
        assert_eq!(remembered, next <= 19, "at offset {next}");
        seen.insert(next);
    }
    assert!(seen.len() > 5 && seen.contains(&40), "{seen:?}");
}
