//! A JSON object that is written entry by entry. The values are left to `serde_json`; names that all records share are
//! written as they are, or as they have been encoded once.

use serde::Serialize;

/// An object that is not closed yet.
pub(super) struct Object(Vec<u8>);

impl Object {
    /// An empty one, with room for so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// An entry with a name as `field` has encoded it, or a literal of the same form.
    pub(super) fn field<T: Serialize + ?Sized>(&mut self, field: &[u8], value: &T) -> serde_json::Result<()> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.extend_from_slice(field);
        serde_json::to_writer(&mut self.0, value)
    }

    /// An entry with any name.
    pub(super) fn entry<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> serde_json::Result<()> {
        self.field(&field(name), value)
    }

    /// An entry of a first number, and a second one in the same inner object, which is then closed.
    pub(super) fn pair(&mut self, first: (&[u8], i64), second: (&[u8], i64)) -> serde_json::Result<()> {
        self.field(first.0, &first.1)?;
        self.field(second.0, &second.1)?;
        self.0.push(b'}');
        Ok(())
    }

    /// The bytes of the whole.
    pub(super) fn end(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}

/// A name as it stands before its value.
pub(super) fn field(name: &str) -> Vec<u8> {
    // A string always serializes.
    let mut field = serde_json::to_vec(name).unwrap_or_default();
    field.push(b':');
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_serde_json_reads() {
        let mut object = Object::new(8);
        let written = object
            .entry("a\"\n", "b\\")
            .and_then(|()| object.pair((br#""window":{"start":"#, -1), (br#""end":"#, i64::MAX)))
            .and_then(|()| object.field(&field("ключ"), &[f64::NAN, 0.1]))
            .and_then(|()| serde_json::from_slice::<serde_json::Value>(&object.end()));
        let wanted = serde_json::json!({
            "a\"\n": "b\\", "window": {"start": -1, "end": i64::MAX}, "ключ": [null, 0.1]
        });
        assert_eq!(written.ok(), Some(wanted));
        assert_eq!(Object::new(0).end(), b"{}");
    }
}
