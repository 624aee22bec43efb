//! Length buckets: which windows of a model may share a batch, by how many events they hold.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Bounds at the most: what calls take is learned for each bucket.
const MOST_BOUNDS: usize = 256;

/// How the windows of a model are divided by their numbers of events. A batch holds windows of one bucket only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<Said>")]
pub enum LengthBuckets {
    /// Not at all: windows of all lengths share a batch.
    #[default]
    None,
    /// Upper bounds, each included in its bucket, and a last bucket of all that is longer.
    Bounds(Vec<usize>),
    /// A bucket for each length.
    Exact,
}

/// The same as a plan says it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Bounds(Vec<usize>),
    Word(Word),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Exact,
}

impl From<Option<Said>> for LengthBuckets {
    fn from(said: Option<Said>) -> Self {
        match said {
            None => Self::None,
            Some(Said::Bounds(bounds)) => Self::Bounds(bounds),
            Some(Said::Word(Word::Exact)) => Self::Exact,
        }
    }
}

impl LengthBuckets {
    /// The bucket of a window with so many events.
    #[inline]
    pub fn bucket(&self, events: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Bounds(bounds) => bounds.partition_point(|bound| *bound < events),
            Self::Exact => events,
        }
    }

    /// Buckets that cost about the same have one kind: what calls take is learned by kind, of which there are few. With
    /// a bucket for each length those of an octave are of a kind.
    pub fn kind(&self, bucket: usize) -> usize {
        match self {
            Self::None | Self::Bounds(_) => bucket,
            Self::Exact => bucket.max(1).ilog2() as usize,
        }
    }

    /// How many kinds there are.
    pub fn kinds(&self) -> usize {
        match self {
            Self::None => 1,
            Self::Bounds(bounds) => bounds.len() + 1,
            Self::Exact => usize::BITS as usize,
        }
    }

    /// Refuses bounds that are none.
    pub(super) fn check(&self, model: &str) -> Result<()> {
        let Self::Bounds(bounds) = self else { return Ok(()) };
        let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || bounds.is_empty() || bounds.len() > MOST_BOUNDS || bounds[0] == 0 {
            return Err(Error::config(format!(
                "length_buckets of model {model} are {bounds:?}: give 1 to {MOST_BOUNDS} numbers of events from 1 on, \
                 each larger than the one before, or \"exact\""
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<LengthBuckets, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_longer_than_all_has_one_of_its_own() {
        let of =
            |text, lengths: [usize; 5]| parsed(text).map(|said| lengths.map(|events| said.bucket(events)));
        assert_eq!(of("[4, 16]", [1, 4, 5, 16, 17]), Ok([0, 0, 1, 1, 2]));
        assert_eq!(of("\"exact\"", [1, 4, 5, 16, 17]), Ok([1, 4, 5, 16, 17]));
        assert_eq!(of("null", [1, 4, 5, 16, 17]), Ok([0; 5]));
        assert!(parsed("\"near\"").is_err());
    }

    #[test]
    fn every_length_is_of_a_kind_that_there_is() {
        for buckets in [LengthBuckets::None, LengthBuckets::Bounds(vec![1, 3, 900]), LengthBuckets::Exact] {
            for events in [0, 1, 2, 3, 4, 899, 900, 901, usize::MAX] {
                assert!(buckets.kind(buckets.bucket(events)) < buckets.kinds(), "{events} of {buckets:?}");
            }
        }
    }

    #[test]
    fn what_are_no_bounds_is_refused_with_the_value() {
        for bounds in [vec![], vec![0, 1], vec![4, 4], vec![8, 4], (1..=257).collect()] {
            let told = LengthBuckets::Bounds(bounds.clone()).check("m").map_err(|error| error.to_string());
            assert!(told.is_err_and(|text| text.contains(&format!("of model m are {bounds:?}: give"))));
        }
        assert!(LengthBuckets::Bounds((1..=256).collect()).check("m").is_ok());
    }
}
