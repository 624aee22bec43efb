//! The seeker of declared fields against `serde_json`'s whole values: the same bits, the same texts, and the same verdict on
//! what is no JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::string::string_regex;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::json::JsonDecoder;
use super::json::Scalar;
use super::{Reason, Rejected, number};

const FIELDS: [&str; 5] = ["a", "b", "n.x", "n.y.z", "n"];
const CONTEXT: [&str; 3] = ["c", "a", "n.c"];
/// Names of objects as they stand in JSON: declared ones, also in other spellings, others, and what is no name.
const NAMES: &[u8] = b"k t a b c n x y z \\u0061 \\u006E aa \xc3\xa9 a\\\\ \\ud83d \xff \t";

/// All that was found, floats as bits.
#[derive(Debug, PartialEq)]
struct Found {
    key: Result<Vec<u8>, Rejected>,
    time: (Scalar, String),
    fields: Vec<Result<u64, Rejected>>,
    context: Vec<(Scalar, String)>,
    /// Zeros below zero, which equal others.
    signs: Vec<bool>,
}

fn decoder() -> JsonDecoder {
    let paths = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    JsonDecoder::new(Some("k"), Some("t"), &paths(&FIELDS), &paths(&CONTEXT), false)
}

fn sought(json: &mut JsonDecoder) -> Found {
    let text = |(value, text): (Scalar, &str)| {
        (value, if value == Scalar::Text { text.to_owned() } else { String::new() })
    };
    let fields = (0..FIELDS.len()).map(|index| field(json.field(index), index)).collect();
    let context: Vec<_> = (0..CONTEXT.len()).map(|index| text(json.context(index))).collect();
    let time = text((json.time(), json.time_text()));
    let key = json.check_key(Some("k")).map(|()| json.key().to_vec());
    let signs = signs(&time, &context);
    Found { key, time, fields, context, signs }
}

/// The same by way of the whole value, built.
fn looked_up(value: &Value) -> Found {
    let text = |path| {
        let value = at(value, path);
        (scalar(value), value.and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    let fields = (0..FIELDS.len()).map(|index| field(below(value, FIELDS[index]), index)).collect();
    let context: Vec<_> = CONTEXT.into_iter().map(|path| (below(value, path), text(path).1)).collect();
    let key = match at(value, "k") {
        Some(Value::String(key)) => Ok(key.clone().into_bytes()),
        Some(Value::Number(key)) if !key.is_f64() => Ok(key.to_string().into_bytes()),
        None => Err(Rejected::new(Reason::MissingKey, "key field \"k\" is absent")),
        Some(Value::Null) => Err(Rejected::new(Reason::MissingKey, "key field \"k\" is null")),
        Some(other) => Err(Rejected::new(Reason::BadKey, format!("key field \"k\" is {}", no_key(other)))),
    };
    let time = text("t");
    let signs = signs(&time, &context);
    Found { key, time, fields, context, signs }
}

fn no_key(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a boolean, not a string or an integer",
        Value::Number(_) => "a float, not a string or an integer",
        _ => "neither a string nor an integer",
    }
}

fn field(value: Scalar, index: usize) -> Result<u64, Rejected> {
    number(value, FIELDS[index], false).map(f64::to_bits)
}

fn signs(time: &(Scalar, String), context: &[(Scalar, String)]) -> Vec<bool> {
    let values = context.iter().chain([time]).map(|(value, _)| value);
    values.map(|value| matches!(value, Scalar::Float(float) if float.is_sign_negative())).collect()
}

/// What stands at a path, where all above it are objects.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| value.as_object()?.get(name))
}

/// What a path comes to, whatever stands above it.
fn below(value: &Value, path: &str) -> Scalar {
    let above = path.match_indices('.').filter_map(|(end, _)| at(value, &path[..end]));
    if above.into_iter().any(|value| !value.is_object() && !value.is_null()) {
        return Scalar::Wrong("below a value that is no object");
    }
    scalar(at(value, path))
}

fn scalar(value: Option<&Value>) -> Scalar {
    match value {
        None => Scalar::Missing,
        Some(Value::Null) => Scalar::Null,
        Some(Value::Bool(value)) => Scalar::Bool(*value),
        Some(Value::String(_)) => Scalar::Text,
        Some(Value::Array(_)) => Scalar::Wrong("an array"),
        Some(Value::Object(_)) => Scalar::Wrong("an object"),
        Some(Value::Number(value)) => {
            let unsigned = value.as_u64().map(Scalar::Unsigned);
            let integer = value.as_i64().map(Scalar::Int).or(unsigned);
            integer.unwrap_or_else(|| Scalar::Float(value.as_f64().unwrap()))
        }
    }
}

/// The seeker on a value, beside the whole of it.
fn agree(value: &[u8]) -> Result<(), TestCaseError> {
    let mut json = decoder();
    let told = json.parse(value).map(|()| sought(&mut json));
    let reason = told.as_ref().err().map(|rejected| rejected.reason);
    let text = String::from_utf8_lossy(value);
    let object = value.trim_ascii().starts_with(b"{");
    if let Ok(whole) = serde_json::from_slice::<Value>(value)
        && object
    {
        prop_assert_eq!(told, Ok(looked_up(&whole)), "{}", text);
        return Ok(());
    }
    let as_is_right = if serde_json::from_slice::<IgnoredAny>(value).is_ok() {
        // With a number or a text that cannot be built: that matters where it is declared.
        reason == Some(Reason::BadType) || object && told.is_ok()
    } else {
        reason == Some(Reason::NotJson) || !object && reason.is_some()
    };
    prop_assert!(as_is_right, "{:?} of {}", told, text);
    Ok(())
}

/// A decimal that lies halfway between two floats, or next to that.
fn halfway() -> impl Strategy<Value = String> {
    (1_u64 << 52..1 << 53, 0_u32..21, 0..3).prop_map(|(mantissa, scale, beside)| {
        let odd = u128::from(2 * mantissa + 1);
        let whole = odd * 5_u128.pow(scale);
        match beside {
            0 => format!("{whole}e-{scale}"),
            1 => format!("{whole}.00000000000000000001e-{scale}"),
            _ => format!("{}.99999999999999999999e-{scale}", whole - 1),
        }
    })
}

fn numbers() -> impl Strategy<Value = String> {
    let floats =
        || any::<u64>().prop_map(f64::from_bits).prop_filter("JSON has no NaN", |value| value.is_finite());
    let near = [0, 1 << 53, i128::from(i64::MAX), i128::from(i64::MIN), i128::from(u64::MAX)];
    prop_oneof![
        floats().prop_map(|value| value.to_string()),
        floats().prop_map(|value| format!("{value:e}")),
        floats().prop_map(|value| format!("{value:.16e}")),
        (floats(), 0_usize..800).prop_map(|(value, digits)| format!("{value:.digits$e}")),
        (-1e9..1e9, 0_usize..20).prop_map(|(value, digits)| format!("{value:.digits$}")),
        (0_u64..1 << 52).prop_map(|bits| format!("{:e}", f64::from_bits(bits))),
        halfway(),
        (0..near.len(), -3_i128..4).prop_map(move |(at, by)| (near[at] + by).to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        pattern("-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,5})?"),
        pattern("-?[0-9]{1,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{15,25})?"),
        pattern("[-+]?[0-9]{0,3}[.eE]?[-+]?[0-9]{0,3}"),
        pattern("-?(NaN|Infinity|-0|-0\\.0|0e5|-0E-7|1e400|00|0x1)"),
    ]
}

fn pattern(of: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(of).unwrap()
}

fn strings() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => pattern("[a-zA-Z0-9 /{}:,\\[\\]]{0,20}").prop_map(String::into_bytes),
        3 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
        3 => pattern("\\\\[\"\\\\/bfnrt]").prop_map(String::into_bytes),
        2 => pattern("\\\\u[0-9a-fA-F]{4}").prop_map(String::into_bytes),
        2 => pattern("\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9a-f]{2}").prop_map(String::into_bytes),
        1 => pattern("\\\\u?[dD]?[0-9a-zA-Z]{0,4}").prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    vec(part, 0..5).prop_map(|parts| [b"\"", &parts.concat()[..], b"\""].concat())
}

fn spaces() -> impl Strategy<Value = String> {
    prop_oneof![9 => Just(String::new()), 1 => pattern("[ \t\r\n]{1,3}")]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        6 => numbers().prop_map(String::into_bytes),
        3 => strings(),
        1 => pattern("null|true|false").prop_map(String::into_bytes),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            2 => objects(inner.clone()),
            1 => (vec(inner, 0..4), spaces()).prop_map(|(items, space)| {
                [b"[", space.as_bytes(), &items.join(&b','), b"]"].concat()
            }),
        ]
    })
}

fn objects(value: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&[u8]> = NAMES.split(|byte| *byte == b' ').collect();
    let name = prop_oneof![12 => 0..9_usize, 3 => 9..14_usize, 1 => 14..names.len()];
    let member = (name, spaces(), value, spaces()).prop_map(move |(name, before, value, after)| {
        let (before, after) = (before.as_bytes(), after.as_bytes());
        [before, b"\"", names[name], b"\"", after, b":", before, &value, after].concat()
    });
    vec(member, 0..8).prop_map(|members| [b"{", &members.join(&b',')[..], b"}"].concat())
}

/// Changes, takes out, puts in and cuts off bytes.
fn mutated(mut value: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    const LIKELY: &[u8] = b"{}[]:,\"\\0123456789.eE+-nulltruefalse \t\x00\x1f\x7f\x80\xc3\xff";
    for (at, kind, byte) in changes {
        let at = at % (value.len() + 1);
        let byte = if kind & 8 == 0 { *byte } else { LIKELY[usize::from(*byte) % LIKELY.len()] };
        match kind % 8 {
            0 => value.truncate(at),
            1..=3 => value.insert(at, byte),
            _ if at == value.len() => value.push(byte),
            4 | 5 => value[at] = byte,
            _ => {
                value.remove(at);
            }
        }
    }
    value
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_sought_is_what_the_whole_value_holds(value in objects(values())) {
        agree(&value)?;
    }

    #[test]
    fn what_was_json_is_judged_as_a_whole_value_is(
        value in objects(values()),
        changes in vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        agree(&mutated(value, &changes))?;
    }

    #[test]
    fn numbers_keep_every_bit_in_any_notation(value in numbers()) {
        for name in ["a", "b", "k", "t", "c", "skipped"] {
            agree(format!("{{\"{name}\":{value}}}").as_bytes())?;
        }
        agree(format!("{{\"n\":{{\"x\":{value}}},\"s\":[{value}]}}").as_bytes())?;
    }

    #[test]
    fn texts_are_those_of_the_whole_value(value in strings()) {
        for name in ["k", "t", "a", "c", "skipped"] {
            agree(&[b"{\"", name.as_bytes(), b"\":", &value, b"}"].concat())?;
        }
        agree(&[b"{", &value[..], b":1}"].concat())?;
    }
}
