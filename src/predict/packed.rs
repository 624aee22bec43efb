//! A batch as one run of bytes, for a model in a process of its own. Both ends are this program on this machine, so
//! numbers are as they lie in memory; text is UTF-8.

use crate::batch::{Batch, Loan, Values, WindowMeta};
use crate::context::{Context, ContextValue};
use crate::record::Key;
use crate::strikes::Trust;

/// Numbers before the arrays: windows, values, whether those are f32, whether there are timestamps, bytes of keys and
/// of contexts, and whether there are contexts.
const COUNTS: usize = 7;
const WORD: usize = size_of::<u64>();

/// A batch that is about to be written.
#[derive(Debug)]
pub struct Packed<'a> {
    batch: &'a Batch,
    contexts: Option<Vec<u8>>,
}

impl<'a> Packed<'a> {
    /// Nothing of the batch is copied yet, but its contexts.
    pub fn new(batch: &'a Batch) -> Self {
        let rows = |rows: &Vec<Context>| {
            let rows: Vec<&[ContextValue]> = rows.iter().map(|row| &row[..]).collect();
            serde_json::to_vec(&rows).unwrap_or_default()
        };
        Self { batch, contexts: batch.contexts.as_ref().map(rows) }
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let Batch { windows, values, row_splits, timestamps, .. } = self.batch;
        // Of a window: start, end, both offsets, the length of its key, the partition.
        let words = COUNTS + row_splits.len() + timestamps.as_ref().map_or(0, Vec::len) + 6 * windows.len();
        let of_values = match values {
            Values::F64(values) => size_of_val(&values[..]),
            Values::F32(values) => size_of_val(&values[..]),
        };
        words * WORD + of_values + self.key_bytes() + self.contexts.as_ref().map_or(0, Vec::len)
    }

    fn key_bytes(&self) -> usize {
        self.batch.windows.iter().map(|window| window.key.len()).sum()
    }

    /// Writes it to the beginning of `out`, which has room for `size` bytes.
    pub fn write(&self, out: &mut [u8]) {
        let Batch { windows, values, row_splits, timestamps, .. } = self.batch;
        let mut out = Writer { rest: out };
        let narrow = matches!(values, Values::F32(_));
        let contexts = self.contexts.as_ref();
        let counts: [usize; COUNTS] = [
            windows.len(),
            values.len(),
            narrow.into(),
            timestamps.is_some().into(),
            self.key_bytes(),
            contexts.map_or(0, Vec::len),
            contexts.is_some().into(),
        ];
        out.each(counts, |count| (count as i64).to_ne_bytes());
        out.each(row_splits, |split| split.to_ne_bytes());
        out.each(timestamps.iter().flatten(), |time| time.to_ne_bytes());
        for window in windows {
            let WindowMeta { start, end, offsets: (first, last), partition, key, .. } = window;
            let numbers = [*start, *end, *first, *last, key.len() as i64, i64::from(*partition)];
            out.each(numbers, i64::to_ne_bytes);
        }
        match values {
            Values::F64(values) => out.each(values, |value| value.to_ne_bytes()),
            Values::F32(values) => out.each(values, |value| value.to_ne_bytes()),
        }
        for window in windows {
            out.bytes(&window.key);
        }
        out.bytes(contexts.map_or(&[][..], |contexts| contexts));
    }
}

/// The batch that was written to the beginning of `bytes`, on memory of its own. None where that is no batch.
pub fn unpack(bytes: &[u8]) -> Option<Batch> {
    let mut bytes = Reader { rest: bytes };
    let counts = bytes.words(COUNTS)?;
    let [windows, values, narrow, timed, key_bytes, context_bytes, contexts] = counts.try_into().ok()?;
    let windows = usize::try_from(windows).ok()?;
    let row_splits = bytes.words(windows.checked_add(1)?)?;
    let events = usize::try_from(*row_splits.last()?).ok()?;
    let timestamps = if timed == 0 { None } else { Some(bytes.words(events)?) };
    let numbers = bytes.words(windows.checked_mul(6)?)?;
    let values = match (narrow, usize::try_from(values).ok()?) {
        (0, values) => Values::F64(bytes.each(values, f64::from_ne_bytes)?),
        (_, values) => Values::F32(bytes.each(values, f32::from_ne_bytes)?),
    };
    let mut keys = Reader { rest: bytes.take(usize::try_from(key_bytes).ok()?)? };
    let windows = numbers.chunks_exact(6).zip(row_splits.windows(2)).map(|(of, bounds)| {
        Some(WindowMeta {
            assignment: 0,
            epoch: 0,
            partition: i32::try_from(of[5]).ok()?,
            key: Key::from(keys.take(usize::try_from(of[4]).ok()?)?),
            start: of[0],
            end: of[1],
            events: usize::try_from(bounds[1].checked_sub(bounds[0])?).ok()?,
            offsets: (of[2], of[3]),
            trust: Trust::Full,
        })
    });
    let windows = windows.collect::<Option<_>>()?;
    let context = bytes.take(usize::try_from(context_bytes).ok()?)?;
    let rows = |rows: Vec<Vec<ContextValue>>| rows.into_iter().map(Context::from).collect();
    let contexts = match contexts {
        0 => None,
        _ => Some(serde_json::from_slice(context).map(rows).ok()?),
    };
    Some(Batch { model: 0, windows, values, row_splits, timestamps, contexts, loan: Loan::default() })
}

struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn take(&mut self, size: usize) -> &mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(size);
        self.rest = rest;
        taken
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.take(bytes.len()).copy_from_slice(bytes);
    }

    fn each<T, const N: usize>(&mut self, of: impl IntoIterator<Item = T>, bytes: impl Fn(T) -> [u8; N]) {
        let mut written = 0;
        for (item, place) in of.into_iter().zip(self.rest.chunks_exact_mut(N)) {
            place.copy_from_slice(&bytes(item));
            written += N;
        }
        self.take(written);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        Some(taken)
    }

    fn each<T, const N: usize>(&mut self, count: usize, of: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let bytes = self.take(count.checked_mul(N)?)?;
        let item = |bytes: &[u8]| bytes.try_into().map(&of).ok();
        bytes.chunks_exact(N).map(item).collect()
    }

    fn words(&mut self, count: usize) -> Option<Vec<i64>> {
        self.each(count, i64::from_ne_bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn window(key: &[u8], start: i64, events: usize) -> WindowMeta {
        WindowMeta {
            assignment: 0,
            epoch: 0,
            partition: 3,
            key: Key::from(key),
            start,
            end: start + 10,
            events,
            offsets: (start, i64::MAX),
            trust: Trust::Full,
        }
    }

    fn batch(values: Values, contexts: Option<Vec<Context>>) -> Batch {
        Batch {
            model: 0,
            windows: vec![window(b"a", -5, 2), window(b"", 0, 0), window(b"\xff\xfe", i64::MIN, 1)],
            values,
            row_splits: vec![0, 2, 2, 3],
            timestamps: Some(vec![-5, 4, i64::MAX]),
            contexts,
            loan: Loan::default(),
        }
    }

    fn through(batch: &Batch) -> Batch {
        let packed = Packed::new(batch);
        let mut bytes = vec![0xAB; packed.size() + 17];
        packed.write(&mut bytes);
        assert!(bytes[packed.size()..].iter().all(|byte| *byte == 0xAB), "it wrote more than its size");
        for size in [0, WORD, packed.size() / 2, packed.size() - 1] {
            assert!(unpack(&bytes[..size]).is_none(), "{size} of {} bytes are no batch", packed.size());
        }
        unpack(&bytes).unwrap()
    }

    #[test]
    fn a_batch_comes_out_as_it_went_in_to_the_last_bit() {
        let nan = f64::from_bits(0x7ff8_0000_dead_beef);
        let row: Context = Context::from([
            ContextValue::Missing,
            ContextValue::Bool(true),
            ContextValue::Int(-1),
            ContextValue::Unsigned(u64::MAX),
            ContextValue::Float(1.0),
            ContextValue::Float(-0.0),
            ContextValue::Float(0.1 + 0.2),
            ContextValue::Text("\u{e4}\n\"\0".to_owned()),
        ]);
        let sent = batch(Values::F64(vec![0.1, -0.0, nan]), Some(vec![row; 3]));
        let got = through(&sent);
        assert_eq!(got.windows, sent.windows);
        assert_eq!((got.row_splits, got.timestamps), (sent.row_splits, sent.timestamps));
        assert_eq!(got.contexts, sent.contexts);
        let Values::F64(values) = got.values else { panic!("the values are of another type") };
        assert_eq!(
            values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [0.1_f64, -0.0, nan].map(f64::to_bits)
        );
    }

    #[test]
    fn what_a_model_does_not_read_is_not_there() {
        let mut sent = batch(Values::F32(vec![0.1, 0.2, 0.3]), None);
        sent.timestamps = None;
        let got = through(&sent);
        assert_eq!((got.values, got.timestamps, got.contexts), (sent.values, None, None));
    }
}
