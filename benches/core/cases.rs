//! What is counted: parts of the core on loads of which one thing is changed at a time, and what goals are set for.

use std::collections::BTreeMap;

use crate::load::Load;
use crate::work::Part;

/// Instructions per event, by case.
pub(crate) type Counts = BTreeMap<String, f64>;

/// A part of the core on a load.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) load: Load,
    pub(crate) part: Part,
    /// How many events are measured.
    pub(crate) events: u64,
}

/// Few keys fill the longest windows soon; the columns of a key grow in steps, of which there must be many.
const FEW: Load = Load { keys: 20, ..Load::STANDARD };
const OVERLAPS: [i64; 4] = [1, 10, 60, 360];
const KEYS: [u64; 3] = [1_000, 10_000, 1_000_000];
/// Whole steps of the columns, at each overlap.
const EVENTS: u64 = 36_000;
/// Each record costs the same.
const RECORDS: u64 = 4_096;

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let case = |name: String, load: Load, part: Part, events: u64| Case { name, load, part, events };
    let mut cases = Vec::new();
    for fields in [1, 6, 32] {
        let load = Load { fields, ..Load::STANDARD };
        cases.push(case(format!("decode, {fields} fields"), load, Part::Decode, RECORDS));
    }
    cases.push(case(UNUSED.into(), Load { unused: 100, ..Load::STANDARD }, Part::Decode, RECORDS));
    for overlap in OVERLAPS {
        let load = Load { overlap, timestamps: false, ..FEW };
        cases.push(case(ingest(overlap), load, Part::Ingest, EVENTS));
    }
    for fields in [6, 32] {
        let load = Load { fields, ..FEW };
        cases.push(case(format!("ingest, {fields} fields"), load, Part::Ingest, EVENTS));
    }
    // Beyond, callgrind counts each byte of a copy.
    for overlap in [1, 10] {
        cases.push(case(format!("gather, r = {overlap}"), Load { overlap, ..FEW }, Part::Gather, EVENTS));
    }
    cases.push(case("encode, a result for 10 events".into(), FEW, Part::Encode, EVENTS));
    for keys in KEYS {
        cases.push(case(sparse(keys), Load::sparse(keys), Part::All, keys.max(EVENTS)));
    }
    for models in [1, 2] {
        cases.push(case(with_models(models), Load { models, ..FEW }, Part::All, EVENTS));
    }
    cases
}

const UNUSED: &str = "decode, 100 unused fields";

fn ingest(overlap: i64) -> String {
    format!("ingest, r = {overlap}")
}

fn sparse(keys: u64) -> String {
    format!("all, a window for each event, {keys} keys")
}

fn with_models(models: usize) -> String {
    format!("all, {models} models")
}

/// Loads of many keys, to be timed: a case, and the one that it is held against.
pub(crate) fn many_keys() -> (Case, Case) {
    let of = |keys| {
        let load = Load::sparse(keys);
        Case { name: sparse(keys), load, part: Part::All, events: KEYS[2] }
    };
    (of(KEYS[2]), of(KEYS[0]))
}

/// Instructions of insert and close alone, where they were counted.
pub(crate) fn insert_and_close(counts: &Counts) -> Vec<(String, f64)> {
    let of = |overlap| {
        Some((format!("insert and close, r = {overlap}"), without_decode(counts, &ingest(overlap))?))
    };
    OVERLAPS.into_iter().filter_map(of).collect()
}

fn without_decode(counts: &Counts, case: &str) -> Option<f64> {
    Some(counts.get(case)? - counts.get("decode, 1 fields")?)
}

/// Bytes of the values that were decoded with and without unused fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    pub(crate) narrow: f64,
    pub(crate) wide: f64,
}

/// What a goal is set for: its name, the figure and the most that it may be.
pub(crate) fn goals(counts: &Counts, widths: Widths) -> Vec<(String, f64, f64)> {
    let ratio = |of: Option<f64>, to: Option<f64>| Some(of? / to?);
    let count = |name: &str| counts.get(name).copied();
    let per_byte = ratio(
        count(UNUSED).map(|wide| wide / widths.wide),
        count("decode, 1 fields").map(|narrow| narrow / widths.narrow),
    );
    let (one, two) = (count(&with_models(1)), count(&with_models(2)));
    let second = ratio(two.zip(one).map(|(two, one)| two - one), without_decode(counts, &with_models(1)));
    let overlap =
        ratio(without_decode(counts, &ingest(OVERLAPS[3])), without_decode(counts, &ingest(OVERLAPS[0])));
    let keys = ratio(count(&sparse(KEYS[2])), count(&sparse(KEYS[0])));
    let named = [
        ("insert and close, r = 360 to r = 1", overlap, 1.15),
        ("100 unused fields to none, per byte", per_byte, 1.2),
        ("1,000,000 keys to 1,000", keys, 4.0),
        ("a second model to the first, beyond decode", second, 0.6),
    ];
    named.into_iter().filter_map(|(name, figure, most)| Some((name.to_owned(), figure?, most))).collect()
}
