//! How many windows go into one call: found by trying sizes next to the best one so far, from what recent calls took.
//! It reads no clock; what a call took is told to it.

use std::collections::VecDeque;

use crate::config::{ModelConfig, Unit};

/// Calls that a rung remembers; a quick one of them counts, since a busy machine only ever adds to what a call takes.
const REMEMBERED: usize = 5;
/// Calls at a size before it is compared with others.
const ENOUGH: usize = 3;
/// After so many calls a size is tried again.
const STALE: u64 = 96;
/// A size has to be better by this share to be moved to.
const BETTER: f64 = 0.015;
/// Recent calls that the line is fitted to.
const FITTED: usize = 64;
/// Where the search begins: with doubled sizes, for as long as one call is clearly better than one before, which a busy
/// machine can hide but not feign. A slow model need not make many small calls to show that it can have large ones.
const FIRST: usize = 32;
/// At most so much of the cost before is clearly better.
const CLEARLY: f64 = 0.8;
/// Rungs that double a size.
const DOUBLE: usize = 2;
/// Parts of a wave for several workers: the work in one is at least this many times what a call costs by itself.
const WORK_TO_COST: f64 = 4.0;
/// A call that is shorter than this, in seconds, is over before the next poll: the batch after it must be there.
const QUICK: f64 = 0.005;
/// A call that is longer leaves time to hand the next batch over: more batches that wait would only be of sizes that were
/// decided on long before.
const SLOW: f64 = 0.05;
/// Batches of a slow model at each worker: one at work, one that waits.
const OF_SLOW: usize = 2;
/// Seconds of work for each worker that an epoch may hold, and calls where those take longer.
const EPOCH: f64 = 1.0;
const EPOCH_CALLS: f64 = 4.0;

/// What bounds a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Windows.
    pub windows: usize,
    /// Events, but for a single window with more of them.
    pub events: Option<usize>,
    /// Seconds that a call should take at the most.
    pub target: Option<f64>,
    /// Workers that may be called at the same time.
    pub workers: usize,
    /// Batches that may wait for each of them.
    pub waiting: usize,
}

/// What the next batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Windows at the most.
    pub windows: usize,
    /// Events at the most, but for a single window.
    pub events: usize,
}

/// What calls of about one size have cost.
#[derive(Clone, Debug)]
struct Rung {
    size: usize,
    /// Seconds per window of the last calls.
    costs: VecDeque<f64>,
    /// Which call was the last one.
    last: u64,
}

impl Rung {
    fn cost(&self) -> f64 {
        let mut costs: Vec<f64> = self.costs.iter().copied().collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 4).copied().unwrap_or(f64::INFINITY)
    }
}

/// Finds the size of the batches of one model.
#[derive(Clone, Debug)]
pub struct Batcher {
    bounds: Bounds,
    /// Sizes to choose from, each about a square root of two times the one before.
    rungs: Vec<Rung>,
    /// The best one so far.
    best: usize,
    /// The one that is tried now.
    tried: usize,
    /// Whether sizes are still doubled.
    climbs: bool,
    calls: u64,
    recent: VecDeque<(f64, f64)>,
    events_per_window: f64,
    /// Whether sizes are sought, or as many windows taken as may be.
    seeks: bool,
}

impl Batcher {
    /// One that seeks the best size.
    pub fn new(bounds: Bounds) -> Self {
        let mut sizes = vec![bounds.windows.max(1)];
        while let Some(smaller) = sizes.last().map(|size| (*size as f64 / std::f64::consts::SQRT_2) as usize)
        {
            if smaller == 0 {
                break;
            }
            sizes.push(smaller);
        }
        let rung = |size| Rung { size, costs: VecDeque::new(), last: 0 };
        let rungs: Vec<Rung> = sizes.into_iter().rev().map(rung).collect();
        let first = rungs.iter().rposition(|rung| rung.size <= FIRST).unwrap_or(0);
        Self {
            bounds,
            rungs,
            best: first,
            tried: first,
            climbs: true,
            calls: 0,
            recent: VecDeque::new(),
            events_per_window: 0.0,
            seeks: true,
        }
    }

    /// One for a model: sizes are sought for windows, and for single events where a call is to keep to a target; else
    /// a batch of them is as large as it may be.
    pub fn of(config: &ModelConfig, bounds: Bounds) -> Self {
        let seeks = config.unit() == Unit::Window || config.target_ms.is_some();
        if seeks { Self::new(bounds) } else { Self::fixed(bounds) }
    }

    /// One that takes as many windows as may be, whatever calls cost: the same each time.
    pub fn fixed(bounds: Bounds) -> Self {
        Self { seeks: false, ..Self::new(bounds) }
    }

    /// A call has taken this long.
    pub fn observe(&mut self, windows: usize, events: usize, seconds: f64) {
        if windows == 0 {
            return;
        }
        self.calls += 1;
        self.recent.push_back((windows as f64, seconds));
        if self.recent.len() > FITTED {
            self.recent.pop_front();
        }
        if !self.seeks {
            return;
        }
        let mean = events as f64 / windows as f64;
        self.events_per_window =
            if self.calls == 1 { mean } else { self.events_per_window.mul_add(0.9, mean * 0.1) };
        // The nearest by ratio.
        let distance = |rung: &Rung| (rung.size as f64 / windows as f64).ln().abs();
        let nearest = (0..self.rungs.len())
            .min_by(|a, b| distance(&self.rungs[*a]).total_cmp(&distance(&self.rungs[*b])));
        let Some(index) = nearest else { return };
        let rung = &mut self.rungs[index];
        rung.costs.push_back(seconds / windows as f64);
        if rung.costs.len() > REMEMBERED {
            rung.costs.pop_front();
        }
        rung.last = self.calls;
        if index == self.tried {
            self.seek();
        }
    }

    /// Moves to the best of what is known, then on to a neighbour that is not known well enough.
    fn seek(&mut self) {
        if self.climbs {
            return self.climb();
        }
        if self.rungs[self.tried].costs.len() < ENOUGH {
            return;
        }
        let around = self.best.saturating_sub(1)..=(self.best + 1).min(self.rungs.len() - 1);
        let known = |index: &usize| self.rungs[*index].costs.len() >= ENOUGH;
        let cost = |index: usize| self.rungs[index].cost();
        if let Some(better) = around.clone().filter(known).min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
            && cost(better) < cost(self.best) * (1.0 - BETTER)
        {
            self.best = better;
        }
        self.tried = self.best;
        let around = [self.best + 1, self.best.wrapping_sub(1)];
        let stale = |index: &usize| {
            self.rungs
                .get(*index)
                .is_some_and(|rung| rung.costs.len() < ENOUGH || self.calls.saturating_sub(rung.last) > STALE)
        };
        if let Some(next) = around.into_iter().find(stale) {
            // What was long ago is no comparison.
            if self.rungs[next].costs.len() >= ENOUGH {
                self.rungs[next].costs.clear();
            }
            self.tried = next;
        }
    }

    /// Doubles the size, or leaves what is near the best one so far to the search.
    fn climb(&mut self) {
        let first = self.tried == self.best;
        let better = self.rungs[self.tried].cost() < self.rungs[self.best].cost() * CLEARLY;
        if better {
            self.best = self.tried;
        }
        let next = (self.best + DOUBLE).min(self.rungs.len() - 1);
        self.climbs = (first || better) && next > self.best;
        self.tried = if self.climbs { next } else { self.best };
    }

    /// `seconds = a * windows + b` through the recent calls, where there are any.
    pub fn fit(&self) -> Option<(f64, f64)> {
        let count = self.recent.len() as f64;
        if count < 2.0 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| self.recent.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|call| call.0), mean(|call| call.1));
        let spread: f64 = self.recent.iter().map(|call| (call.0 - x).powi(2)).sum();
        let together: f64 = self.recent.iter().map(|call| (call.0 - x) * (call.1 - y)).sum();
        // Calls of one size say nothing of what a call costs by itself.
        let a = if spread > 0.0 { together / spread } else { y / x };
        Some(if a > 0.0 { (a, y - a * x) } else { (y / x, 0.0) })
    }

    /// How long the workers are at so many windows, by how long they may be at those of an epoch: none where there are
    /// no windows, and no call has told what they cost.
    pub fn work(&self, windows: usize) -> Option<f64> {
        if self.recent.is_empty() {
            return (windows > 0).then_some(windows as f64 / FIRST as f64);
        }
        let calls = self.recent.len() as f64;
        let (took, of) = self.recent.iter().fold((0.0, 0.0), |sum, call| (sum.0 + call.1, sum.1 + call.0));
        let most = EPOCH.max(EPOCH_CALLS * took / calls) * self.bounds.workers as f64;
        Some(windows as f64 * took / of / most)
    }

    fn seconds(&self, windows: usize) -> Option<f64> {
        self.fit().filter(|_| self.seeks).map(|(a, b)| a.mul_add(windows as f64, b).max(0.0))
    }

    /// The size to aim at with so many windows waiting.
    fn aim(&self, ready: usize) -> usize {
        if !self.seeks {
            return self.bounds.windows;
        }
        let mut aim = self.rungs[self.tried].size;
        if let (Some(target), Some((a, b))) = (self.bounds.target, self.fit()) {
            let within = (((target - b) / a) as usize).clamp(1, self.bounds.windows);
            let calls = ready as f64 / within as f64 / self.bounds.workers as f64;
            // Where the objective cannot be met for all that waits, what waits is worked off as fast as may be.
            if calls * a.mul_add(within as f64, b) <= target {
                aim = aim.min(within);
            }
        }
        if let Some(most) = self.bounds.events.filter(|_| self.events_per_window > 0.0) {
            aim = aim.min((most as f64 / self.events_per_window) as usize);
        }
        aim.max(1)
    }

    /// What the next batch takes, with `ready` windows there and `outstanding` batches at the workers; none where it
    /// is better to wait for a worker.
    pub fn next(&self, ready: usize, outstanding: usize) -> Option<Size> {
        self.due(ready, outstanding).then(|| self.size(ready, outstanding))
    }

    /// Whether no worker is free, with so many batches at them.
    pub fn busy(&self, outstanding: usize) -> bool {
        outstanding >= self.bounds.workers
    }

    /// Whether it is time for a batch, with `ready` windows there and `outstanding` batches at the workers.
    pub fn due(&self, ready: usize, outstanding: usize) -> bool {
        let Bounds { workers, waiting, .. } = self.bounds;
        if ready == 0 || outstanding >= workers * waiting {
            return false;
        }
        if !self.busy(outstanding) {
            return true;
        }
        let aim = self.aim(ready);
        let lasts = self.seconds(aim);
        let slow = self.seeks && lasts.is_none_or(|seconds| seconds > SLOW);
        if slow && outstanding >= workers * OF_SLOW {
            return false;
        }
        // What is not a full batch yet waits for a worker, and grows meanwhile; but a quick one must not starve.
        ready >= aim || lasts.is_some_and(|seconds| seconds < QUICK) && outstanding < 2 * workers
    }

    /// What a batch takes of `ready` windows. A wave is split into equal parts.
    pub fn size(&self, ready: usize, outstanding: usize) -> Size {
        let aim = self.aim(ready);
        let mut parts = ready.div_ceil(aim);
        let free = self.bounds.workers.saturating_sub(outstanding);
        if self.seeks
            && free > parts
            && let Some((a, b)) = self.fit()
        {
            let most = a * ready as f64 / (WORK_TO_COST * b.max(f64::MIN_POSITIVE));
            parts = parts.max(free.min(most as usize)).min(ready);
        }
        Size { windows: ready.div_ceil(parts.max(1)), events: self.bounds.events.unwrap_or(usize::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(windows: usize) -> Bounds {
        Bounds { windows, events: None, target: None, workers: 1, waiting: 8 }
    }

    /// Noise from -1 to 1, the same each time.
    fn noise(n: u64) -> f64 {
        let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Seconds per window once it has settled, of a model with noise of `share`, to those of the best fixed size.
    fn to_best(model: impl Fn(f64) -> f64, share: f64, seed: u64) -> f64 {
        let mut batcher = Batcher::new(bounds(256));
        let (mut windows, mut seconds) = (0.0, 0.0);
        for call in 0..600 {
            let size = batcher.next(100_000, 0).map_or(0, |size| size.windows);
            let mut took = model(size as f64) * (1.0 + share * noise(seed * 10_000 + call));
            if call % 37 == 0 {
                took *= 5.0;
            }
            batcher.observe(size, size, took);
            if call >= 100 {
                (windows, seconds) = (windows + size as f64, seconds + model(size as f64));
            }
        }
        let best = (1..=256).map(|n| model(f64::from(n)) / f64::from(n)).fold(f64::INFINITY, f64::min);
        seconds / windows / best
    }

    #[test]
    fn it_comes_within_ten_percent_of_the_best_fixed_size() {
        for seed in 0..20 {
            for share in [0.0, 0.1] {
                let overhead = to_best(|n| 2e-6_f64.mul_add(n, 2e-4), share, seed);
                let linear = to_best(|n| 1e-4_f64.mul_add(n, 1e-5), share, seed);
                let superlinear = to_best(|n| 2e-4 + 2e-6 * n + 4e-7 * n * n, share, seed);
                for (model, ratio) in
                    [("overhead", overhead), ("linear", linear), ("superlinear", superlinear)]
                {
                    assert!(ratio < 1.1, "{model} at {ratio} of the best, seed {seed}, noise {share}");
                }
            }
        }
    }

    #[test]
    fn a_model_bound_by_its_overhead_has_full_batches_after_a_few_calls() {
        let mut batcher = Batcher::new(bounds(256));
        let mut sizes = Vec::new();
        for _ in 0..6 {
            let size = batcher.next(100_000, 0).map_or(0, |size| size.windows);
            batcher.observe(size, size, 1.5);
            sizes.push(size);
        }
        assert_eq!(sizes.last(), Some(&256), "{sizes:?}");
        assert!(sizes[3] > 200, "{sizes:?}");
    }

    #[test]
    fn batches_of_a_slow_model_are_not_cut_long_before_they_are_called() {
        let most = |calls: usize, seconds: f64| {
            let mut batcher = Batcher::new(bounds(256));
            (0..calls).for_each(|_| batcher.observe(32, 32, seconds));
            (0..100).take_while(|out| batcher.due(10_000, *out)).count()
        };
        assert_eq!(most(0, 0.0), 2, "nothing is known yet");
        assert_eq!([most(2, 1e-3), most(2, 1.5)], [8, 2]);
    }

    #[test]
    fn a_wave_is_split_into_equal_parts() {
        let batcher = Batcher::fixed(bounds(256));
        let size = |ready| batcher.next(ready, 0).map(|size| size.windows);
        assert_eq!([size(256), size(257), size(1000), size(3)], [Some(256), Some(129), Some(250), Some(3)]);
        assert_eq!(batcher.next(0, 0), None);
    }

    #[test]
    fn what_is_no_full_batch_never_waits_for_more_while_a_worker_is_free() {
        let mut batcher = Batcher::new(bounds(256));
        assert_eq!(batcher.next(1, 0).map(|size| size.windows), Some(1));
        assert_eq!(batcher.next(1, 1), None);
        assert!(batcher.next(32, 1).is_some(), "a full batch does not gain by waiting");
        assert_eq!(batcher.next(1_000, 8), None);
        for _ in 0..10 {
            batcher.observe(32, 32, 1e-4);
        }
        assert!(batcher.next(1, 1).is_some(), "a quick worker is not to be kept waiting");
        assert_eq!(batcher.next(1, 2), None);
    }

    #[test]
    fn the_line_through_the_calls_is_found() {
        let mut batcher = Batcher::new(bounds(256));
        for n in 1..=40 {
            batcher.observe(n, n, 0.002 + 0.001 * n as f64);
        }
        let (a, b) = batcher.fit().unwrap_or_default();
        assert!((a - 0.001).abs() < 1e-9 && (b - 0.002).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn a_call_keeps_to_the_target_unless_too_much_waits() {
        let mut batcher = Batcher::new(Bounds { target: Some(0.01), ..bounds(256) });
        for n in 1..=300 {
            let size = 1 + n % 256;
            batcher.observe(size, size, 0.001 + 0.001 * size as f64);
        }
        let size = |ready| batcher.next(ready, 0).map_or(0, |size| size.windows);
        assert_eq!(size(9), 9);
        assert!(size(100_000) > 9, "what waits is worked off");
    }

    #[test]
    fn a_batch_keeps_to_its_events() {
        let mut batcher = Batcher::new(Bounds { events: Some(1_000), ..bounds(256) });
        for _ in 0..50 {
            batcher.observe(10, 1_000, 0.01);
        }
        assert_eq!(batcher.next(1_000, 0), Some(Size { windows: 10, events: 1_000 }));
    }

    #[test]
    fn free_workers_share_a_wave_that_is_worth_it() {
        let mut batcher = Batcher::new(Bounds { workers: 4, ..bounds(256) });
        for n in 1..=64 {
            batcher.observe(n, n, 1e-4 + 1e-3 * n as f64);
        }
        assert_eq!(batcher.next(20, 0).map(|size| size.windows), Some(5));
        assert_eq!(batcher.next(20, 3).map(|size| size.windows), Some(20));
        let mut costly = Batcher::new(Bounds { workers: 4, ..bounds(256) });
        for n in 1..=64 {
            costly.observe(n, n, 1e-1 + 1e-3 * n as f64);
        }
        assert_eq!(costly.next(20, 0).map(|size| size.windows), Some(20));
    }
}
