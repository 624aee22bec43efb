//! Whether retention comes close to what a restart has to read again: then a warning, as long as there is time.

use super::Lane;
use crate::log::Said;
use crate::record::TopicPartition;

/// What to say where the log, which begins at `low`, holds less than twice the records from R to C before C. Where
/// nothing has ever been deleted, nothing is known of the retention, and nothing said.
pub(crate) fn shortage(id: &TopicPartition, low: i64, (from, to): (i64, i64)) -> Option<String> {
    let (span, left) = (to - from, from - low);
    (low > 0 && left < span).then(|| {
        format!(
            "{id}: a restart reads offsets {from} to {to} again, and the log begins at {low}, only {left} records before \
             them: retention has nearly overtaken them. Raise retention.ms and retention.bytes of the topic before it \
             does"
        )
    })
}

impl Lane {
    /// Warns of a partition whose log, which begins at `low`, may soon lack what is needed. To be called about once a
    /// minute.
    pub fn warn_of_retention(&self, index: usize, low: i64) {
        let Some(partition) = self.partitions.get(index).and_then(Option::as_ref) else { return };
        if let Some(text) = shortage(&partition.id, low, partition.replay_range()) {
            self.log.warning("retention", Said::from(text).partition(&partition.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn less_than_twice_the_replay_span_is_warned_of() {
        let id = TopicPartition { topic: Arc::from("t"), partition: 3 };
        assert_eq!(shortage(&id, 100, (200, 300)), None);
        let text = shortage(&id, 101, (200, 300)).unwrap_or_default();
        assert!(
            ["t [3]", "200", "300", "101", "99", "retention.ms"].iter().all(|word| text.contains(word)),
            "{text}"
        );
        // Nothing has been deleted yet, or nothing would be read again.
        assert_eq!(shortage(&id, 0, (10, 300)), None);
        assert_eq!(shortage(&id, 300, (300, 300)), None);
    }
}
