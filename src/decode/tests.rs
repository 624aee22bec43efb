use super::*;
use crate::config::Format as FormatConfig;

fn source(timestamp: Option<&str>, fields: &[&str]) -> SourceConfig {
    SourceConfig {
        topic: "t".into(),
        key: None,
        timestamp: timestamp.map(str::to_owned),
        timestamp_unit: None,
        fields: fields.iter().map(ToString::to_string).collect(),
        context: Vec::new(),
        missing: Missing::DeadLetter,
        format: FormatConfig::Json,
        idle_timeout_ms: None,
        max_future_ms: Some(3_600_000),
        scattered: false,
    }
}

fn record(value: &str) -> RawRecord<'_> {
    RawRecord { offset: 0, key: Some(b"k"), value: Some(value.as_bytes()), timestamp: None }
}

fn decode(source: &SourceConfig, value: &str) -> Result<(Vec<u8>, Millis, Vec<f64>), Reason> {
    let mut decoder = Decoder::new(source);
    let event = decoder.decode(&record(value));
    event.map(|e| (e.key.to_vec(), e.time, e.row.to_vec())).map_err(|rejected| rejected.reason)
}

fn row(value: &str) -> Result<Vec<f64>, Reason> {
    decode(&source(Some("ts"), &["v"]), value).map(|(_, _, row)| row)
}

fn time(unit: TimestampUnit, value: &str) -> Result<Millis, Reason> {
    let source = SourceConfig { timestamp_unit: Some(unit), ..source(Some("ts"), &[]) };
    decode(&source, &format!("{{\"ts\":{value}}}")).map(|(_, time, _)| time)
}

#[test]
fn declared_fields_are_found_wherever_they_stand() {
    let source = source(Some("meta.at"), &["b", "a.x", "a.y.z"]);
    let value =
        r#"{"skip":[{"b":9}],"a":{"y":{"q":1,"z":3},"x":2},"meta":{"at":7},"b":1,"more":"\ud83d\ude00"}"#;
    assert_eq!(decode(&source, value), Ok((b"k".to_vec(), 7, vec![1.0, 2.0, 3.0])));
}

#[test]
fn numbers_keep_every_bit_and_booleans_count() {
    assert_eq!(row(r#"{"ts":1,"v":true}"#), Ok(vec![1.0]));
    assert_eq!(row(r#"{"ts":1,"v":-3}"#), Ok(vec![-3.0]));
    for text in ["0.1", "5e-324", "1.7976931348623157e308", "123456789.12345679", "9007199254740993"] {
        assert_eq!(row(&format!("{{\"ts\":1,\"v\":{text}}}")), Ok(vec![text.parse().unwrap()]));
    }
}

#[test]
fn what_is_no_event_has_its_reason() {
    let cases = [
        ("", Reason::NotJson),
        ("{\"ts\":1,\"v\":1", Reason::NotJson),
        ("{\"ts\":1,\"v\":1} x", Reason::NotJson),
        ("[1]", Reason::BadType),
        ("null", Reason::BadType),
        (r#"{"ts":1}"#, Reason::MissingField),
        (r#"{"ts":1,"v":null}"#, Reason::MissingField),
        (r#"{"ts":1,"v":"1"}"#, Reason::BadType),
        (r#"{"ts":1,"v":[1]}"#, Reason::BadType),
        (r#"{"ts":1,"v":{}}"#, Reason::BadType),
        (r#"{"ts":1,"v":1e400}"#, Reason::BadType),
        (r#"{"ts":1,"v":NaN}"#, Reason::NotJson),
        (r#"{"v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":"1","v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":true,"v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":253402300800000,"v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":-9223372036854775808,"v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":18446744073709551615,"v":1}"#, Reason::BadTimestamp),
        (r#"{"ts":1e300,"v":1}"#, Reason::BadTimestamp),
    ];
    for (value, reason) in cases {
        assert_eq!(row(value), Err(reason), "{value}");
    }
}

#[test]
fn missing_as_nan_covers_absent_null_and_bare_tokens_and_nothing_else() {
    let source = SourceConfig { missing: Missing::Nan, ..source(Some("ts"), &["v", "w"]) };
    for value in [r#"{"ts":1,"w":2}"#, r#"{"ts":1,"v":null,"w":2}"#, r#"{"w":2,"v":NaN,"ts":1,"n":"NaN\""}"#]
    {
        let (_, _, row) = decode(&source, value).unwrap();
        assert!(row[0].is_nan(), "{value}");
        assert_eq!(row[1..], [2.0], "{value}");
    }
    assert!(decode(&source, r#"{"ts":1,"v":-Infinity,"w":Infinity}"#).unwrap().2.iter().all(|v| v.is_nan()));
    assert_eq!(decode(&source, r#"{"ts":1,"v":"x","w":2}"#), Err(Reason::BadType));
    assert_eq!(decode(&source, r#"{"ts":NaN,"v":1,"w":2}"#), Err(Reason::BadTimestamp));
    assert_eq!(decode(&source, r#"{"ts":1,"v":NaNo,"w":2}"#), Err(Reason::NotJson));
}

#[test]
fn of_duplicate_names_the_last_wins() {
    assert_eq!(row(r#"{"ts":1,"v":"x","v":2}"#), Ok(vec![2.0]));
    assert_eq!(row(r#"{"ts":1,"v":2,"v":"x"}"#), Err(Reason::BadType));
    let nested = source(Some("ts"), &["a.b"]);
    assert_eq!(decode(&nested, r#"{"ts":1,"a":{"b":1},"a":{"c":2}}"#), Err(Reason::MissingField));
    assert_eq!(decode(&nested, r#"{"ts":1,"a":{"b":1},"a":7}"#), Err(Reason::BadType));
}

#[test]
fn times_are_whole_milliseconds_rounded_down() {
    assert_eq!(time(TimestampUnit::Ms, "1700000000123"), Ok(1_700_000_000_123));
    assert_eq!(time(TimestampUnit::Ms, "-0.5"), Ok(-1));
    assert_eq!(time(TimestampUnit::S, "1700000000"), Ok(1_700_000_000_000));
    assert_eq!(time(TimestampUnit::S, "1700000000.123"), Ok(1_700_000_000_123));
    assert_eq!(time(TimestampUnit::Us, "-1"), Ok(-1));
    assert_eq!(time(TimestampUnit::Ns, "1700000000123999999"), Ok(1_700_000_000_123));
    assert_eq!(time(TimestampUnit::Rfc3339, "\"2023-11-14T23:13:20.123456+01:00\""), Ok(1_700_000_000_123));
    assert_eq!(time(TimestampUnit::Rfc3339, "\"1969-12-31T23:59:59.9999Z\""), Ok(-1));
    assert_eq!(time(TimestampUnit::Rfc3339, "\"yesterday\""), Err(Reason::BadTimestamp));
    assert_eq!(time(TimestampUnit::S, "9223372036854775807"), Err(Reason::BadTimestamp));
}

#[test]
fn a_key_field_is_text_or_an_integer() {
    let source = SourceConfig { key: Some("id".into()), ..source(Some("ts"), &[]) };
    let key = |id: &str| decode(&source, &format!("{{\"ts\":1,\"id\":{id}}}")).map(|(key, _, _)| key);
    assert_eq!(key("\"a\\u00e9\""), Ok("a\u{e9}".as_bytes().to_vec()));
    assert_eq!(key("-12"), Ok(b"-12".to_vec()));
    assert_eq!(key("18446744073709551615"), Ok(b"18446744073709551615".to_vec()));
    assert_eq!(key("\"\""), Ok(Vec::new()));
    for bad in ["1.5", "true", "[]", "{}"] {
        assert_eq!(key(bad), Err(Reason::BadKey), "{bad}");
    }
    assert_eq!(key("null"), Err(Reason::MissingKey));
    assert_eq!(decode(&source, r#"{"ts":1}"#), Err(Reason::MissingKey));
}

#[test]
fn limits_hold_before_a_value_is_looked_into() {
    let deep =
        |depth: usize| format!("{{\"ts\":1,\"v\":1,\"d\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(row(&deep(63)).is_ok());
    assert_eq!(row(&deep(64)), Err(Reason::TooDeep));
    assert_eq!(row(&deep(10_000)), Err(Reason::TooDeep));
    let brackets = format!(r#"{{"ts":1,"v":1,"text":"{}\"{}"}}"#, "[".repeat(500), "{".repeat(500));
    assert!(row(&brackets).is_ok());
    assert_eq!(row(&"x".repeat(MAX_VALUE_BYTES + 1)), Err(Reason::TooLarge));
    let long = format!("{{\"ts\":1,\"v\":{}}}", "9".repeat(MAX_VALUE_BYTES - 100));
    assert_eq!(row(&long), Err(Reason::BadType));
}

#[test]
fn the_future_guard_is_a_function_of_the_record_alone() {
    let mut decoder = Decoder::new(&source(Some("ts"), &[]));
    let mut guarded = |ts: i64, stamped: Option<i64>| {
        let value = format!("{{\"ts\":{ts}}}");
        let record = RawRecord { timestamp: stamped, ..record(&value) };
        decoder.decode(&record).map(|event| event.time).map_err(|rejected| (rejected.reason, rejected.time))
    };
    assert_eq!(guarded(3_600_000, Some(0)), Ok(3_600_000));
    assert_eq!(guarded(3_600_001, Some(0)), Err((Reason::FutureTimestamp, Some(3_600_001))));
    assert_eq!(guarded(i64::from(u32::MAX), None), Ok(i64::from(u32::MAX)));
}

#[test]
fn without_a_timestamp_field_the_record_must_have_a_timestamp() {
    let mut decoder = Decoder::new(&source(None, &[]));
    let stamped = RawRecord { timestamp: Some(5), ..record("{}") };
    assert_eq!(decoder.decode(&stamped).map(|event| event.time), Ok(5));
    assert_eq!(decoder.decode(&record("{}")).map_err(|rejected| rejected.reason), Err(Reason::BadTimestamp));
    let tombstone = RawRecord { value: None, ..record("{}") };
    assert_eq!(decoder.decode(&tombstone).map_err(|rejected| rejected.reason), Err(Reason::NotJson));
    let keyless = RawRecord { key: None, timestamp: Some(5), ..record("{}") };
    assert_eq!(decoder.decode(&keyless).map_err(|rejected| rejected.reason), Err(Reason::MissingKey));
}

#[test]
fn context_is_text_a_number_or_a_boolean_as_it_stands() {
    let source = SourceConfig { context: vec!["site".into()], ..source(Some("ts"), &["v"]) };
    let mut decoder = Decoder::new(&source);
    let mut context = |value: &str| {
        let text = format!("{{\"ts\":1,\"v\":2,\"site\":{value}}}");
        let event = decoder.decode(&record(&text));
        event.map(|e| (e.row[0], e.context[0].clone())).map_err(|rejected| rejected.reason)
    };
    let text = |text: &str| ContextValue::Text(text.to_owned());
    assert_eq!(context("\"a\\u00e9\""), Ok((2.0, text("a\u{e9}"))));
    assert_eq!(context("\"\""), Ok((2.0, text(""))));
    assert_eq!(context("-7"), Ok((2.0, ContextValue::Int(-7))));
    assert_eq!(context("18446744073709551615"), Ok((2.0, ContextValue::Unsigned(u64::MAX))));
    assert_eq!(context("0.5"), Ok((2.0, ContextValue::Float(0.5))));
    assert_eq!(context("true"), Ok((2.0, ContextValue::Bool(true))));
    assert_eq!(context("null"), Err(Reason::MissingField));
    assert_eq!(context("[1]"), Err(Reason::BadType));
    assert_eq!(context("{}"), Err(Reason::BadType));
}

#[test]
fn context_may_be_missing_where_fields_may() {
    let source =
        SourceConfig { context: vec!["site".into()], missing: Missing::Nan, ..source(Some("ts"), &[]) };
    let mut decoder = Decoder::new(&source);
    assert_eq!(
        decoder.decode(&record(r#"{"ts":1}"#)).map(|e| e.context[0].clone()),
        Ok(ContextValue::Missing)
    );
    assert_eq!(
        decoder.decode(&record(r#"{"ts":1,"site":[]}"#)).map_err(|rejected| rejected.reason),
        Err(Reason::BadType)
    );
}

#[test]
fn a_field_may_be_a_feature_and_context_at_once() {
    let source = SourceConfig { context: vec!["v".into()], ..source(Some("ts"), &["v"]) };
    let mut decoder = Decoder::new(&source);
    let event = decoder.decode(&record(r#"{"ts":1,"v":3}"#)).unwrap();
    assert_eq!((event.row, event.context), (&[3.0][..], &[ContextValue::Int(3)][..]));
}
