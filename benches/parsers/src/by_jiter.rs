//! The seeker on jiter's iterator.

use jiter::{Jiter, JiterResult, NumberAny, NumberInt, Peek};

use crate::found::{Found, Node, Slots, unsigned};

/// Seeks in an object, none of whose names are read.
pub(crate) fn object(json: &mut Jiter<'_>, node: &Node, slots: &mut Slots) -> JiterResult<()> {
    let mut expected = 0;
    let mut name = json.known_object()?;
    while let Some(found) = name {
        match node.child(found, expected) {
            None => json.next_skip()?,
            Some(index) => {
                expected = index + 1;
                value(json, &node.children[index], slots)?;
            }
        }
        name = json.next_key()?;
    }
    Ok(())
}

fn value(json: &mut Jiter<'_>, node: &Node, slots: &mut Slots) -> JiterResult<()> {
    let peek = json.peek()?;
    match peek {
        Peek::Null => {
            json.known_null()?;
            node.scalar(slots, Found::Null);
        }
        Peek::True | Peek::False => {
            let value = json.known_bool(peek)?;
            node.scalar(slots, Found::Bool(value));
        }
        Peek::String => {
            let text = json.known_str()?;
            node.text(slots, text);
        }
        Peek::Array => {
            json.known_skip(peek)?;
            node.scalar(slots, Found::Wrong);
        }
        Peek::Object if node.children.is_empty() => {
            json.known_skip(peek)?;
            node.scalar(slots, Found::Wrong);
        }
        Peek::Object => {
            node.reset(slots, Found::Missing);
            object(json, node, slots)?;
        }
        _ if node.numeric => {
            let number = json.known_float(peek)?;
            node.scalar(slots, Found::Float(number.to_bits()));
        }
        _ => {
            let number = number(json, peek)?;
            node.scalar(slots, number);
        }
    }
    Ok(())
}

fn number(json: &mut Jiter<'_>, peek: Peek) -> JiterResult<Found> {
    match json.known_number(peek) {
        Ok(NumberAny::Int(NumberInt::Int(0))) if peek == Peek::Minus => {
            Ok(Found::Float((-0.0_f64).to_bits()))
        }
        Ok(NumberAny::Int(NumberInt::Int(value))) => Ok(Found::Int(value)),
        Ok(NumberAny::Float(value)) => Ok(Found::Float(value.to_bits())),
        Err(_) => {
            let digits = json.known_number_bytes(peek)?;
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            let float = || digits.parse().map_or(Found::Wrong, |value: f64| Found::Float(value.to_bits()));
            Ok(digits.parse().map_or_else(|_| float(), unsigned))
        }
    }
}
