//! The clock of this machine, for those that drive the core: the core itself is told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Millis;

/// How long a wait goes on before it is looked whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);

/// The wall time.
pub(crate) fn wall() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// Waits for so long, or until nothing waits for it any more.
pub(crate) fn nap(time: Duration, ending: impl Fn() -> bool) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !ending()) {
        std::thread::sleep(left.min(SLICE));
    }
}
