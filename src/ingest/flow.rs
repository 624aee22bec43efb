//! How many records are read at once: ever more while what they close is little work for the models, and fewer where
//! it was much. An epoch ends between two polls, so that it holds what can be predicted, and committed, soon.

use super::pace::is_much;

/// Records that a poll takes at the most.
const MOST: usize = 4096;
/// The same until a call has told what windows cost.
const FIRST: usize = 256;
/// What polls may close to become larger, by what an epoch may hold.
const LITTLE: f64 = 0.25;

/// Decides how much is read at once.
#[derive(Debug)]
pub(super) struct Flow {
    most: usize,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { most: FIRST }
    }

    /// All that is there, at once.
    pub(super) fn unbounded() -> Self {
        Self { most: usize::MAX }
    }

    /// Records that the next poll takes at the most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A poll has taken this many records. `work` is what the epoch has left to predict, by what it may have; none
    /// where nothing is known of it.
    pub(super) fn polled(&mut self, taken: usize, work: Option<f64>) {
        match work {
            Some(share) if is_much(work) && taken > 0 => {
                self.most = ((self.most.min(taken) as f64 / share) as usize).max(1);
            }
            Some(share) if share < LITTLE && taken >= self.most => self.most = (self.most * 2).min(MOST),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_read_at_once_while_it_is_little_work() {
        let mut flow = Flow::new();
        flow.polled(FIRST, None);
        assert_eq!(flow.most(), FIRST, "nothing is known yet");
        for _ in 0..10 {
            flow.polled(flow.most(), Some(0.2));
        }
        assert_eq!(flow.most(), MOST);
        flow.polled(10, Some(0.0));
        flow.polled(MOST, Some(0.9));
        assert_eq!(flow.most(), MOST);
    }

    #[test]
    fn less_is_read_at_once_where_it_was_too_much_work() {
        let mut flow = Flow::new();
        flow.polled(FIRST, Some(16.0));
        assert_eq!(flow.most(), FIRST / 16);
        flow.polled(FIRST / 16, Some(1e9));
        assert_eq!(flow.most(), 1);
        flow.polled(1, Some(0.0));
        assert_eq!(flow.most(), 2);
    }

    #[test]
    fn epochs_come_to_hold_about_what_they_may() {
        // Each record is a fifth of what an epoch may hold.
        let (mut flow, mut epoch, mut largest) = (Flow::new(), 0.0, 0.0_f64);
        for poll in 0..200 {
            let taken = flow.most();
            epoch += taken as f64 * 0.2;
            flow.polled(taken, Some(epoch));
            if poll > 0 {
                largest = largest.max(epoch);
            }
            if epoch > 1.0 {
                epoch = 0.0;
            }
        }
        assert!((1.0..=2.0).contains(&largest), "{largest}");
    }
}
