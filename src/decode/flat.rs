//! The quick way through a JSON value: one flat object without escapes, which is what most topics carry. It accepts
//! less than serde does, and what it accepts it reads as serde does; the rest is left to serde.

use super::json::{Found, Node, Scalar};

/// Digits of which every number is an exact f64.
const EXACT_DIGITS: usize = 15;
/// Digits of which every number is an i64.
const INT_DIGITS: usize = 18;
/// Powers of ten that are exact.
const TENS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Seeks the declared names in a value. None where it is not of the plain kind: then nothing that was found counts.
pub(super) fn seek(root: &Node, found: &mut Found, value: &[u8]) -> Option<()> {
    let mut cursor = Cursor { bytes: value, at: 0 };
    cursor.take(b'{')?;
    // Writers keep an order: the name after the one found last is tried first.
    let mut expected = 0;
    loop {
        let name = cursor.text()?;
        cursor.take(b':')?;
        match root.child(name.utf8()?, expected) {
            None => cursor.skip()?,
            // Below a declared path an object is expected.
            Some(index) if !root.children[index].children.is_empty() => return None,
            Some(index) => {
                expected = index + 1;
                let (value, text) = cursor.value()?;
                found.set(&root.children[index], value, text);
            }
        }
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.next().is_none().then_some(())
}

/// A place in a value.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string without escapes.
struct Text<'a> {
    bytes: &'a [u8],
    ascii: bool,
}

impl<'a> Text<'a> {
    /// Its bytes, if they are text.
    #[inline]
    fn utf8(&self) -> Option<&'a [u8]> {
        (self.ascii || std::str::from_utf8(self.bytes).is_ok()).then_some(self.bytes)
    }
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let mut byte = self.peek()?;
        if byte <= b' ' {
            self.space();
            byte = self.peek()?;
        }
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A string.
    #[inline]
    fn text(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        self.rest_of_text()
    }

    /// What follows the quote: eight bytes at a time up to one that ends it, or that must not be in it as it is.
    #[inline]
    fn rest_of_text(&mut self) -> Option<Text<'a>> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = ONES << 7;
        let (from, mut high) = (self.at, 0);
        while let Some((eight, _)) = self.bytes[self.at..].split_first_chunk() {
            let word = u64::from_le_bytes(*eight);
            let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
            let quote = below(word ^ (ONES * u64::from(b'"')), 1);
            let escape = below(word ^ (ONES * u64::from(b'\\')), 1);
            // Borrows make false hits above a true one alone, so the first is true.
            let hits = (quote | escape | below(word, 0x20)) & HIGH;
            if hits == 0 {
                high |= word;
                self.at += 8;
                continue;
            }
            let before = hits.trailing_zeros() / 8;
            high |= word & !(u64::MAX << (8 * before));
            self.at += before as usize;
            break;
        }
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..0x20 => return None,
                byte => high |= u64::from(byte),
            }
            self.at += 1;
        }
        let bytes = &self.bytes[from..self.at];
        self.at += 1;
        Some(Text { bytes, ascii: high & HIGH == 0 })
    }

    /// A value of a declared field, and its text where it is one.
    fn value(&mut self) -> Option<(Scalar, &'a str)> {
        self.space();
        let scalar = match self.peek()? {
            b'"' => {
                self.at += 1;
                let text = std::str::from_utf8(self.rest_of_text()?.bytes).ok()?;
                return Some((Scalar::Text, text));
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true", Scalar::Bool(true))?,
            b'f' => self.word(b"false", Scalar::Bool(false))?,
            b'n' => self.word(b"null", Scalar::Null)?,
            _ => return None,
        };
        Some((scalar, ""))
    }

    /// Passes a value that nobody asks for.
    fn skip(&mut self) -> Option<()> {
        self.space();
        match self.peek()? {
            b'"' => {
                self.at += 1;
                // Text that is not looked at need not be UTF-8.
                self.rest_of_text()?;
            }
            b'-' | b'0'..=b'9' => {
                self.digits()?;
            }
            _ => {
                self.value()?;
            }
        }
        Some(())
    }

    fn word(&mut self, word: &[u8], means: Scalar) -> Option<Scalar> {
        self.bytes[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            means
        })
    }

    /// A number, to the last bit.
    fn number(&mut self) -> Option<Scalar> {
        let from = self.at;
        let Number { negative, digits, all, fraction, plain } = self.digits()?;
        match fraction {
            None if plain && all <= INT_DIGITS => {
                let value = digits as i64;
                // serde takes -0 for a float.
                if negative && value == 0 {
                    return None;
                }
                Some(Scalar::Int(if negative { -value } else { value }))
            }
            Some(places) if plain && all <= EXACT_DIGITS => {
                // Both are exact, so their quotient is what is nearest.
                let value = digits as f64 / TENS[places];
                Some(Scalar::Float(if negative { -value } else { value }))
            }
            None if plain => None,
            _ => {
                let text = std::str::from_utf8(&self.bytes[from..self.at]).ok()?;
                text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
            }
        }
    }

    /// Passes a number as JSON writes it.
    #[inline]
    fn digits(&mut self) -> Option<Number> {
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let from = self.at;
        let mut digits = self.run(0);
        let mut all = self.at - from;
        if all == 0 || (all > 1 && self.bytes[from] == b'0') {
            return None;
        }
        let (mut fraction, mut plain) = (None, true);
        if self.peek() == Some(b'.') {
            self.at += 1;
            let point = self.at;
            digits = self.run(digits);
            let places = self.at - point;
            if places == 0 {
                return None;
            }
            all += places;
            fraction = Some(places);
        }
        if let Some(b'e' | b'E') = self.peek() {
            plain = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            let exponent = self.at;
            self.run(0);
            if self.at == exponent {
                return None;
            }
        }
        Some(Number { negative, digits, all, fraction, plain })
    }

    /// Appends the digits that follow. Where they are too many, they wrap and are not used.
    #[inline]
    fn run(&mut self, mut digits: u64) -> u64 {
        let mut count = 0;
        for byte in &self.bytes[self.at..] {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        digits
    }
}

/// How a number is written.
struct Number {
    negative: bool,
    /// All of them as an integer, without the point.
    digits: u64,
    /// How many there are.
    all: usize,
    /// How many are behind the point, where there is one.
    fraction: Option<usize>,
    /// Whether it has no exponent.
    plain: bool,
}
