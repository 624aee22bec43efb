//! `make bench-parsers`: seeks declared fields with several JSON parsers. Prints the instructions of a value by callgrind,
//! the time of one beside serde_json's, and on how many hostile values each finds something else than serde_json.

mod by_hifijson;
mod by_jiter;
mod by_serde;
mod by_sonic;
#[path = "../../core/callgrind.rs"]
mod callgrind;
mod found;
mod load;
mod seekers;

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use load::Load;
use seekers::{NAMES, Seeker};

/// What any part of it may fail with.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/bench-parsers");
/// Rounds of which the fastest is told; all parsers have their turn in each.
const ROUNDS: usize = 15;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&load::ALL),
        ["case", parser, load] => {
            let load = load::ALL.iter().find(|known| known.name == load).ok_or("there is no such load")?;
            run(&mut Seeker::new(parser.parse()?, &load.paths()), &load.values())
        }
        _ => Err("usage: parsers [case PARSER LOAD]".into()),
    }
}

fn compare(loads: &[Load]) -> Outcome<()> {
    std::fs::create_dir_all(PROFILES)?;
    let head: String = loads.iter().map(|load| format!("{:>12}", load.name)).collect();
    say(&format!("{:<36}{head}\n", "instructions per value"))?;
    for (parser, name) in NAMES.iter().enumerate() {
        say(&format!("{name:<36}"))?;
        for load in loads {
            let profile =
                Path::new(PROFILES).join(format!("{parser}-{}.callgrind", load.name.replace(' ', "-")));
            let count = callgrind::count(&["case", &parser.to_string(), load.name], &profile)?;
            say(&format!("{:>12.0}", count / load.values().len() as f64))?;
        }
        say("\n")?;
    }
    say(&format!("\n{:<36}{head}\n", "time, serde_json = 1"))?;
    let times = loads.iter().map(times).collect::<Outcome<Vec<_>>>()?;
    for (parser, name) in NAMES.iter().enumerate() {
        let row: String = times.iter().map(|of| format!("{:>12.2}", of[parser] / of[0])).collect();
        say(&format!("{name:<36}{row}\n"))?;
    }
    say(&format!("\n{:<36}{:>12}{:>12}{:>12}\n", "other than serde_json's", "taken", "refused", "found"))?;
    let mut values = load::corners();
    values.extend(load::floats());
    values.extend(loads.iter().flat_map(load::mutants));
    for (parser, name) in NAMES.iter().enumerate() {
        let [taken, refused, found] = differences(parser, &values);
        say(&format!("{name:<36}{taken:>12}{refused:>12}{found:>12}\n"))?;
    }
    say(&format!("of {} values\n", values.len()))
}

fn run(seeker: &mut Seeker, values: &[String]) -> Outcome<()> {
    let read =
        measured_part(|| values.iter().filter(|value| seeker.seek(value.as_bytes()).is_some()).count());
    if read == values.len() { Ok(()) } else { Err("not all values were read".into()) }
}

/// Everything that is measured runs in here.
#[inline(never)]
fn measured_part<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Seconds of the fastest round of each parser.
fn times(load: &Load) -> Outcome<Vec<f64>> {
    let mut seekers: Vec<Seeker> =
        (0..NAMES.len()).map(|parser| Seeker::new(parser, &load.paths())).collect();
    let values = load.values();
    let mut fastest = vec![f64::INFINITY; NAMES.len()];
    for _ in 0..ROUNDS {
        for (seeker, fastest) in seekers.iter_mut().zip(&mut fastest) {
            let began = Instant::now();
            run(seeker, &values)?;
            *fastest = fastest.min(began.elapsed().as_secs_f64());
        }
    }
    Ok(fastest)
}

/// How many values a parser takes that serde_json refuses, refuses that it takes, and takes with other fields.
fn differences(parser: usize, values: &[Vec<u8>]) -> [usize; 3] {
    let paths = ["sensor", "ts", "v0", "meta.at.ts", "data.v.x"].map(str::to_owned);
    let (mut known, mut other) = (Seeker::new(0, &paths), Seeker::new(parser, &paths));
    let mut counts = [0; 3];
    for value in values {
        match (known.seek(value), other.seek(value)) {
            (None, Some(_)) => counts[0] += 1,
            (Some(_), None) => counts[1] += 1,
            (Some(known), Some(other)) if !known.same(other) => counts[2] += 1,
            _ => {}
        }
    }
    counts
}

fn say(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
