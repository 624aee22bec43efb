//! The native half of the benchmarks: loads `HopList`, measures the bare drain and the copy job, checks windows.
//! `hoplist COMMAND JSON` prints one line of JSON; `bench.py` calls it.

mod check;
mod copy;
mod feed;
mod judge;
mod latency;
mod load;
mod meter;
mod results;
mod spec;

use std::io::Write;

use spec::Spec;

/// What any part of it may fail with.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, spec] = arguments.as_slice() else { return Err("usage: hoplist COMMAND JSON".into()) };
    let spec: Spec = serde_json::from_str(spec)?;
    let report = match command.as_str() {
        "load" => load::run(&spec)?,
        "drain" => feed::measure(&spec, false)?,
        "decode" => feed::measure(&spec, true)?,
        "copy" => copy::run(&spec)?,
        "check" => check::run(&spec)?,
        "sink" => load::sink(&spec)?,
        "source" => load::source(&spec)?,
        "latency" => latency::run(&spec)?,
        "judge" => judge::run(&spec)?,
        other => return Err(format!("there is no command {other:?}").into()),
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
