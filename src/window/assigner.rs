//! Which windows hold a time: arithmetic on aligned windows `[start, start + size)`, `start = offset + k * hop`
//! for every integer k. Floor division throughout, so negative times are ordinary.

use crate::time::Millis;

/// Windows of one size, one every hop, aligned to the Unix epoch plus an offset. Tumbling is `hop == size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// Length of a window.
    pub size: Millis,
    /// Distance between two starts; at most the size.
    pub hop: Millis,
    /// Shift of all starts.
    pub offset: Millis,
}

impl Aligned {
    /// The start of the last window that holds `time`.
    pub fn last_start(&self, time: Millis) -> Millis {
        (time - self.offset).div_euclid(self.hop) * self.hop + self.offset
    }

    /// The end of the last window that holds `time`.
    pub fn last_end(&self, time: Millis) -> Millis {
        self.last_start(time) + self.size
    }

    /// The smallest window end after `time`: that of the first window that holds it.
    pub fn first_end_after(&self, time: Millis) -> Millis {
        let aligned_end = self.offset + self.size;
        (time - aligned_end).div_euclid(self.hop) * self.hop + self.hop + aligned_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_that_holds_a_time_is_between_the_first_and_the_last() {
        for (size, hop, offset) in [(10, 1, 0), (10, 3, 2), (10, 10, -4), (250, 100, 7), (1, 1, 0)] {
            let windows = Aligned { size, hop, offset };
            for time in -400..400 {
                let starts: Vec<_> = (-800..800)
                    .map(|k| offset + k * hop)
                    .filter(|s| (*s..s + size).contains(&time))
                    .collect();
                assert_eq!(windows.last_start(time), *starts.last().unwrap());
                assert_eq!(windows.first_end_after(time), starts[0] + size);
            }
        }
    }
}
