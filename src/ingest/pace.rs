//! When an epoch ends: at its interval; with `epoch="auto"` as soon as commits keep up with it; and early where what it
//! holds is much of what may be in flight, or reading would pause until its interval is over, or much work for the
//! models, or nothing of it could be committed for long.

use crate::config::Plan;
use crate::time::{Millis, Now};

/// The interval that is kept where commits, or reading, do not keep up: most of what a shorter one costs is saved.
pub(crate) const LONGEST: Millis = 100;
/// The shortest one: about what a transaction takes on its own.
const SHORTEST: Millis = 10;
/// How many epochs what may be in flight is enough for.
const PARTS: usize = 4;

/// Whether an epoch ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    No,
    /// If there is nothing to read, and nothing to commit beside it.
    IfIdle,
    Yes,
}

/// Whether an epoch has more left to predict than it may.
pub(super) fn is_much(work: Option<f64>) -> bool {
    work.is_some_and(|work| work > 1.0)
}

/// Decides when the epochs of a lane end.
#[derive(Debug)]
pub(super) struct Pace {
    /// None finds it.
    interval: Option<Millis>,
    /// In-flight bytes of an epoch that end it.
    most: usize,
    ended_at: Option<Millis>,
}

impl Pace {
    pub(super) fn new(plan: &Plan) -> Self {
        let most = plan.max_inflight_bytes / (PARTS * plan.lanes.max(1));
        Self { interval: plan.epoch_ms, most, ended_at: None }
    }

    /// Whether an epoch is due that holds this many bytes, and this much to predict, by what it may.
    pub(super) fn due(&self, now: Now, bytes: usize, work: Option<f64>) -> Due {
        let Some(lasted) = self.ended_at.map(|at| now.mono - at) else { return Due::Yes };
        if bytes > self.most || is_much(work) || lasted >= self.interval.unwrap_or(LONGEST) {
            Due::Yes
        } else if self.interval.is_none() && lasted >= SHORTEST {
            Due::IfIdle
        } else {
            Due::No
        }
    }

    /// An epoch has ended, and the next one begins.
    pub(super) fn ended(&mut self, now: Now) {
        self.ended_at = Some(now.mono);
    }

    /// The epoch ends at the next look.
    pub(super) fn hurry(&mut self) {
        self.ended_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, LONGEST, Pace, SHORTEST};
    use crate::time::{Millis, Now};

    fn due(interval: Option<Millis>, lasted: Millis, bytes: usize) -> Due {
        let pace = Pace { interval, most: 1000, ended_at: Some(7) };
        pace.due(Now { mono: 7 + lasted, wall: 0 }, bytes, Some(1.0))
    }

    #[test]
    fn an_epoch_lasts_its_interval() {
        assert_eq!(due(Some(50), 49, 1000), Due::No);
        assert_eq!(due(Some(50), 50, 0), Due::Yes);
    }

    #[test]
    fn an_epoch_that_holds_much_of_what_may_be_in_flight_ends_at_once() {
        assert_eq!(due(Some(50), 1, 1001), Due::Yes);
        assert_eq!(due(None, 1, 1001), Due::Yes);
    }

    #[test]
    fn an_epoch_that_is_much_work_ends_at_once() {
        let pace = Pace { interval: Some(50), most: 1000, ended_at: Some(7) };
        assert_eq!(pace.due(Now { mono: 8, wall: 0 }, 0, Some(1.1)), Due::Yes);
        assert_eq!(pace.due(Now { mono: 8, wall: 0 }, 0, None), Due::No);
    }

    #[test]
    fn an_epoch_of_no_set_length_is_short_where_commits_keep_up_and_long_where_they_do_not() {
        assert_eq!(due(None, SHORTEST - 1, 0), Due::No);
        assert_eq!(due(None, SHORTEST, 0), Due::IfIdle);
        assert_eq!(due(None, LONGEST, 0), Due::Yes);
    }
}
