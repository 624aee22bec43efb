//! The seeker on the lexers of hifijson; numbers are read by the standard library.

use hifijson::num::LexWrite as _;
use hifijson::str::LexAlloc as _;
use hifijson::token::Lex as _;
use hifijson::{Error, Expect, SliceLexer, ignore};

use crate::found::{Found, Node, Slots, unsigned};

/// Seeks in the object that is the whole of a value.
pub(crate) fn whole(value: &[u8], root: &Node, slots: &mut Slots) -> Result<(), Error> {
    SliceLexer::new(value).exactly_one(SliceLexer::ws_peek, |next, lexer| match next {
        b'{' => object(lexer, root, slots),
        _ => Err(Expect::Value)?,
    })
}

fn object(lexer: &mut SliceLexer<'_>, node: &Node, slots: &mut Slots) -> Result<(), Error> {
    let mut expected = 0;
    lexer.discarded().seq(b'}', SliceLexer::ws_peek, |next, lexer| {
        lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
        let name = lexer.str_string().map_err(Error::Str)?;
        let child = node.child(&name, expected);
        lexer.expect(SliceLexer::ws_peek, b':').ok_or(Expect::Colon)?;
        let next = lexer.ws_peek().ok_or(Expect::Value)?;
        match child {
            None => ignore::parse(next, lexer),
            Some(index) => {
                expected = index + 1;
                value(next, lexer, &node.children[index], slots)
            }
        }
    })
}

fn value(next: u8, lexer: &mut SliceLexer<'_>, node: &Node, slots: &mut Slots) -> Result<(), Error> {
    match next {
        b'a'..=b'z' => {
            let value = lexer.null_or_bool().ok_or(Expect::Value)?;
            node.scalar(slots, value.map_or(Found::Null, Found::Bool));
        }
        b'0'..=b'9' | b'-' => {
            let (digits, parts) = lexer.num_string().validated()?;
            let float = || digits.parse().map_or(Found::Wrong, |value: f64| Found::Float(value.to_bits()));
            let integer = || digits.parse().map(Found::Int).or_else(|_| digits.parse().map(unsigned));
            let whole = parts.is_int() && digits != "-0";
            node.scalar(slots, if whole { integer().unwrap_or_else(|_| float()) } else { float() });
        }
        b'"' => {
            let text = lexer.discarded().str_string()?;
            node.text(slots, &text);
        }
        b'{' if !node.children.is_empty() => {
            node.reset(slots, Found::Missing);
            object(lexer, node, slots)?;
        }
        _ => {
            ignore::parse(next, lexer)?;
            node.scalar(slots, Found::Wrong);
        }
    }
    Ok(())
}
