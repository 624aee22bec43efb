//! What instructions do not tell, by the clock: waiting for memory. Ratios of medians, both sides in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::cases::many_keys;
use crate::load::Load;
use crate::work::{Part, run};

/// How often each side runs.
const TURNS: usize = 3;
/// Bytes that a batch of a model has, at the most: what is copied at once.
const BATCH: usize = 256;
/// Events of a run that is held against memcpy.
const EVENTS: u64 = 300_000;

/// Gather in bytes per second, to that of memcpy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    pub(crate) bytes_per_s: f64,
    pub(crate) memcpy_per_s: f64,
}

/// Times gather and memcpy. Both read memory of the same size in turn and write to memory that is allocated for each
/// batch and was given back by the one before.
pub(crate) fn gather(overlap: i64) -> Outcome<Gather> {
    let load = Load { overlap, ..Load::STANDARD };
    let window = load.events_per_window() as usize * 2 * size_of::<f64>();
    let state = load.keys as usize * window;
    let source: Vec<u8> = (0..state).map(|place| place as u8).collect();
    let (mut gathers, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let measured = run(load, Part::Gather, EVENTS)?;
        gathers.push(measured.gathered as f64 / measured.took.as_secs_f64());
        // A second of event time closes a window of each key.
        let at_once = window * BATCH.min(load.keys as usize);
        copies.push(memcpy(&source, at_once, measured.gathered));
    }
    Ok(Gather { bytes_per_s: median(gathers), memcpy_per_s: median(copies) })
}

/// Copies `total` bytes, `at_once` bytes into each allocation, half of them into either of two arrays.
fn memcpy(source: &[u8], at_once: usize, total: usize) -> f64 {
    let (mut took, mut copied, half) = (Duration::ZERO, 0, (at_once / 2).min(source.len() / 2));
    while copied < total {
        let from = copied % (source.len() - 2 * half + 1);
        let began = Instant::now();
        let parts =
            black_box((source[from..from + half].to_vec(), source[from + half..from + 2 * half].to_vec()));
        took += began.elapsed();
        copied += parts.0.len() + parts.1.len();
    }
    copied as f64 / took.as_secs_f64()
}

/// Nanoseconds per event with many keys and with few.
pub(crate) fn keys() -> Outcome<(f64, f64)> {
    let (many, few) = many_keys();
    let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for (case, times) in [(&many, &mut of_many), (&few, &mut of_few)] {
            let measured = run(case.load, case.part, case.events)?;
            times.push(measured.took.as_secs_f64() * 1e9 / measured.events as f64);
        }
    }
    Ok((median(of_many), median(of_few)))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
