//! Ragged windows to dense arrays, filled on the left: plain loops over slices, without the interpreter.

/// Windows of `width` fields, one after the other: those of window i are rows `splits[i]..splits[i + 1]`.
#[derive(Clone, Copy)]
pub(super) struct Ragged<'a> {
    pub(super) values: &'a [f64],
    pub(super) splits: &'a [i64],
    pub(super) width: usize,
}

impl Ragged<'_> {
    /// Events of the longest window.
    pub(super) fn longest(&self) -> usize {
        self.splits.windows(2).map(|bounds| (bounds[1] - bounds[0]) as usize).max().unwrap_or(0)
    }

    /// The latest `length` events of each window, `(windows, length, width)`, NaN where there are fewer.
    /// None where that is more than there is memory for.
    pub(super) fn last(&self, length: usize) -> Option<Vec<f64>> {
        let row = length.checked_mul(self.width)?;
        let size = row.checked_mul(self.windows())?;
        let mut dense = Vec::new();
        dense.try_reserve_exact(size).ok()?;
        dense.resize(size, f64::NAN);
        for (window, bounds) in self.splits.windows(2).enumerate() {
            let (from, to) = (bounds[0] as usize, bounds[1] as usize);
            let taken = (to - from).min(length);
            let source = &self.values[(to - taken) * self.width..to * self.width];
            let end = (window + 1) * row;
            dense[end - source.len()..end].copy_from_slice(source);
        }
        Some(dense)
    }

    /// Which of the `length` places of each window hold an event.
    pub(super) fn mask(&self, length: usize) -> Vec<bool> {
        let mut mask = vec![false; self.windows() * length];
        for (window, bounds) in self.splits.windows(2).enumerate() {
            let taken = ((bounds[1] - bounds[0]) as usize).min(length);
            let end = (window + 1) * length;
            mask[end - taken..end].fill(true);
        }
        mask
    }

    fn windows(&self) -> usize {
        self.splits.len().saturating_sub(1)
    }
}
