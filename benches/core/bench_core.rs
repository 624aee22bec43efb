//! `make bench-core`: what an event costs in the core, without Kafka and Python, in instructions. Prints them beside
//! those that the repository holds, and fails where there are more by more than the tolerance; `--save` holds the new
//! ones. What waits for memory is timed, and told as ratios.

mod baseline;
mod callgrind;
mod cases;
mod load;
mod timed;
mod work;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use cases::{Case, Counts, Widths};
use load::{Load, Records};

/// What any part of it may fail with.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/core-baseline.json");
const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/build/bench-core");

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = cases::all();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&cases, false),
        ["--save"] => compare(&cases, true),
        ["--only", part] => {
            let chosen: Vec<Case> = cases.into_iter().filter(|case| case.name.contains(part)).collect();
            compare(&chosen, false)
        }
        ["case", name] => {
            let case = cases.iter().find(|case| case.name == name).ok_or("there is no such case")?;
            let measured = work::run(case.load, case.part, case.events)?;
            let nanos = measured.took.as_nanos() as f64 / measured.events as f64;
            say(&format!("{nanos:.0} ns per event\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("usage: bench-core [--save | --only PART_OF_NAME | case NAME]".into()),
    }
}

/// Counts all cases and holds them against the baseline.
fn compare(cases: &[Case], save: bool) -> Outcome<ExitCode> {
    let (file, profiles, toolchain) = (Path::new(BASELINE), Path::new(PROFILES), baseline::toolchain()?);
    std::fs::create_dir_all(profiles)?;
    let known = baseline::read(file, &toolchain)?;
    let mut counts = Counts::new();
    let mut worse = 0;
    say(&format!("{:<48}{:>13}{:>10}{:>10}\n", "instructions per event", "", "baseline", "to it"))?;
    for case in cases {
        let file: String =
            case.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let profile = profiles.join(file).with_extension("callgrind");
        let count = callgrind::count(&["case", &case.name], &profile)? / case.events as f64;
        let before = known.as_ref().and_then(|known| known.get(&case.name));
        let beside = before.map_or(String::new(), |before| format!("{before:>10.1}{:>10.2}", count / before));
        say(&format!("{:<48}{count:>13.1}{beside}\n", case.name))?;
        worse += usize::from(before.is_some_and(|before| count > before * (1.0 + baseline::TOLERANCE)));
        counts.insert(case.name.clone(), count);
    }
    for (name, count) in cases::insert_and_close(&counts) {
        say(&format!("{name:<48}{count:>13.1}\n"))?;
    }
    goals(&counts)?;
    say(&format!("\nprofiles for callgrind_annotate in {PROFILES}\n"))?;
    if save {
        baseline::save(file, &toolchain, &counts)?;
        say(&format!("saved as the baseline of {toolchain}\n"))?;
    } else if known.is_none() {
        say(&format!("not compared: there is no baseline of {toolchain}; --save makes one\n"))?;
    } else if worse > 0 {
        say(&format!(
            "{worse} counts are above the baseline by more than {} %\n",
            baseline::TOLERANCE * 100.0
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what goals are set for, by count and by the clock.
fn goals(counts: &Counts) -> Outcome<()> {
    say(&format!("\n{:<48}{:>13}{:>10}\n", "goals", "figure", "goal"))?;
    let narrow = value_bytes(Load::STANDARD)?;
    let wide = value_bytes(Load { unused: 100, ..Load::STANDARD })?;
    for (name, figure, most) in cases::goals(counts, Widths { narrow, wide }) {
        say(&format!("{name:<48}{figure:>13.2}{:>10}\n", format!("<= {most}")))?;
    }
    let (many, few) = timed::keys()?;
    let times = format!("{many:.0} ns to {few:.0} ns an event");
    let name = "1,000,000 keys to 1,000, by the clock";
    say(&format!("{name:<48}{:>13.2}{:>10}   {times}\n", many / few, "<= 4"))?;
    for overlap in [10, 60, 360] {
        let gather = timed::gather(overlap)?;
        let ratio = gather.bytes_per_s / gather.memcpy_per_s;
        let times = format!("{:.1} GB/s to {:.1}", gather.bytes_per_s / 1e9, gather.memcpy_per_s / 1e9);
        let name = format!("gather to memcpy, r = {overlap}, by the clock");
        say(&format!("{name:<48}{ratio:>13.2}{:>10}   {times}\n", ">= 0.7"))?;
    }
    Ok(())
}

/// Bytes of a value of a load, in the mean.
fn value_bytes(load: Load) -> Outcome<f64> {
    let mut records = Records::new(load);
    records.make(load.keys)?;
    Ok(records.value_bytes() as f64 / load.keys as f64)
}

fn say(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
