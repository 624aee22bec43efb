//! Values that events come in: narrow and wide, with fields that nobody asks for, and nested; and values to disagree on.

use std::fmt::Write as _;

/// A kind of value: so many fields that are sought and that are not.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    fields: u64,
    unused: u64,
    nested: bool,
}

const VALUES: u64 = 512;

/// All of them.
pub(crate) const ALL: [Load; 6] = [
    Load { name: "1 field", fields: 1, unused: 0, nested: false },
    Load { name: "6 fields", fields: 6, unused: 0, nested: false },
    Load { name: "32 fields", fields: 32, unused: 0, nested: false },
    Load { name: "10 unused", fields: 1, unused: 10, nested: false },
    Load { name: "100 unused", fields: 1, unused: 100, nested: false },
    Load { name: "nested", fields: 2, unused: 0, nested: true },
];

impl Load {
    /// The paths that are sought.
    pub(crate) fn paths(&self) -> Vec<String> {
        if self.nested {
            return ["meta.sensor", "meta.at.ts", "data.v.x", "data.v.y"].map(str::to_owned).to_vec();
        }
        let fields = (0..self.fields).map(|field| format!("v{field}"));
        ["sensor", "ts"].map(str::to_owned).into_iter().chain(fields).collect()
    }

    pub(crate) fn values(&self) -> Vec<String> {
        let one = |index| if self.nested { nested(index) } else { flat(index, self.fields, self.unused) };
        (0..VALUES).map(one).collect()
    }
}

fn flat(index: u64, fields: u64, unused: u64) -> String {
    let mut text = format!(r#"{{"sensor":"s{}""#, index % 1_000);
    unused_fields(0..unused / 2, index, &mut text);
    add(&mut text, format_args!(r#","ts":{}"#, 1_700_000_000_000 + index));
    for field in 0..fields {
        add(&mut text, format_args!(r#","v{field}":{}"#, decimal(mix(index + field))));
    }
    unused_fields(unused / 2..unused, index, &mut text);
    text + "}"
}

fn nested(index: u64) -> String {
    let (x, y) = (decimal(mix(index)), decimal(mix(index + 1)));
    format!(
        r#"{{"meta":{{"sensor":"s{}","at":{{"ts":{},"zone":"UTC"}},"tags":["a","b",3]}},"data":{{"v":{{"x":{x},"y":{y},"q":[0,1,0]}}}}}}"#,
        index % 1_000,
        1_700_000_000_000 + index
    )
}

/// Numbers and strings in turn.
fn unused_fields(which: std::ops::Range<u64>, index: u64, text: &mut String) {
    for field in which {
        let number = mix(index ^ field) % 10_000;
        match field % 2 {
            0 => add(text, format_args!(r#","u{field}":{number}.5"#)),
            _ => add(text, format_args!(r#","u{field}":"n-{number}""#)),
        }
    }
}

fn decimal(number: u64) -> String {
    format!("{}.{:04}", number % 40, number % 10_000)
}

fn add(text: &mut String, part: std::fmt::Arguments<'_>) {
    // A String takes all that is written to it.
    let _ = text.write_fmt(part);
}

/// What parsers are known to judge differently, around the value of a field that is sought (`v`) and of one that is not.
pub(crate) fn corners() -> Vec<Vec<u8>> {
    const VALUES: [&[u8]; 46] = [
        b"1",
        b"-0",
        b"-0.0",
        b"0e0",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"+1",
        b"1e",
        b"1e+",
        b"-",
        b"1e400",
        b"-1e400",
        b"1e-400",
        b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-9223372036854775808",
        b"-9223372036854775809",
        b"9007199254740993",
        b"2.2250738585072011e-308",
        b"5e-324",
        b"2.4703282292062327e-324",
        b"1.7976931348623158e308",
        b"0.1e1",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nul",
        b"nullx",
        b"tru",
        b"\"\\ud83d\\ude00\"",
        b"\"\\ud83d\"",
        b"\"\\ude00\"",
        b"\"\\x\"",
        b"\"\t\"",
        b"\"\\u00g0\"",
        b"\"\xff\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xc3\xa9\"",
        b"[1,]",
        b"{\"a\":1,}",
        b"[01]",
        b"[\"\xff\"]",
    ];
    let mut all = Vec::new();
    for value in VALUES {
        for (before, after) in
            [("{\"v0\":", "}"), ("{\"u\":", "}"), ("{\"v0\":2,\"u\":[", "]}"), ("{\"v0\":", ",\"v0\":3}")]
        {
            all.push([before.as_bytes(), value, after.as_bytes()].concat());
        }
    }
    let whole: [&[u8]; 14] = [
        b"",
        b" ",
        b"{}",
        b"{} ",
        b"{} x",
        b"{}{}",
        b"[]",
        b"null",
        b"1",
        b"\"v0\"",
        b"{\"v0\":1",
        b"{\"v0\" 1}",
        b"{v0:1}",
        b"{\"\xff\":1}",
    ];
    all.extend(whole.map(<[u8]>::to_vec));
    all.push("[".repeat(100).into_bytes());
    all.push(format!("{{\"v0\":1{}}}", "0".repeat(400)).into_bytes());
    all.push(format!("{{\"v0\":0.{}1}}", "0".repeat(400)).into_bytes());
    all
}

/// Values of a load with one byte changed, lost or added, and floats of 1 to 17 digits.
pub(crate) fn mutants(load: &Load) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (index, value) in load.values().iter().enumerate() {
        let random = mix(index as u64 + 77);
        let (at, byte) = (random as usize % value.len(), (random >> 32) as u8);
        let (before, after) = value.as_bytes().split_at(at);
        all.push([before, &[byte], &after[1..]].concat());
        all.push([before, &[byte], after].concat());
        all.push([before, &after[1..]].concat());
        all.push(before.to_vec());
    }
    all
}

/// Floats of any bits in their shortest form, and with as many digits as they have.
pub(crate) fn floats() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for index in 0..20_000 {
        let float = f64::from_bits(mix(index).wrapping_add(index << 52));
        if float.is_finite() {
            let halfway = f64::from_bits(float.to_bits() | 1) / 2.0;
            all.push(format!("{{\"v0\":{float:e}}}").into_bytes());
            all.push(format!("{{\"v0\":{halfway:.25e}}}").into_bytes());
            all.push(format!("{{\"v0\":{:.17}}}", mix(index) as f64 / 1e13).into_bytes());
            all.push(format!("{{\"v0\":{}}}", mix(index) >> (index % 50)).into_bytes());
        }
    }
    all
}

/// Numbers without a pattern.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
