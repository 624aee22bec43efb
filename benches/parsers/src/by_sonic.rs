//! The seeker on the lazy objects of sonic-rs.

use sonic_rs::{JsonType, JsonValueTrait as _, LazyValue, ObjectJsonIter, Result};

use crate::found::{Found, Node, Slots, unsigned};

/// Seeks among the members of an object.
pub(crate) fn object(members: ObjectJsonIter<'_>, node: &Node, slots: &mut Slots) -> Result<()> {
    let mut expected = 0;
    for member in members {
        let (name, found) = member?;
        if let Some(index) = node.child(&name, expected) {
            expected = index + 1;
            value(found, &node.children[index], slots)?;
        }
    }
    Ok(())
}

fn value(found: LazyValue<'_>, node: &Node, slots: &mut Slots) -> Result<()> {
    match found.get_type() {
        JsonType::Null => node.scalar(slots, Found::Null),
        JsonType::Boolean => node.scalar(slots, found.as_bool().map_or(Found::Wrong, Found::Bool)),
        JsonType::Number => node.scalar(slots, number(&found)),
        JsonType::String => match found.as_str() {
            Some(text) => node.text(slots, text),
            None => node.scalar(slots, Found::Wrong),
        },
        JsonType::Object if !node.children.is_empty() => {
            node.reset(slots, Found::Missing);
            if let Some(members) = found.into_object_iter() {
                object(members, node, slots)?;
            }
        }
        JsonType::Array | JsonType::Object => node.scalar(slots, Found::Wrong),
    }
    Ok(())
}

fn number(found: &LazyValue<'_>) -> Found {
    found
        .as_i64()
        .map(Found::Int)
        .or_else(|| found.as_u64().map(unsigned))
        .or_else(|| found.as_f64().map(|value| Found::Float(value.to_bits())))
        .unwrap_or(Found::Wrong)
}
