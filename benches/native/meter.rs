//! Events per second, CPU per event and peak memory, from the instant at which the warm-up is consumed to the last commit. What is
//! in flight at the first instant is work that counts, and its events do not: the figures err on the low side.

use std::time::Instant;

use serde_json::{Value, json};

use crate::Outcome;

/// An instant of a run.
#[derive(Clone, Copy)]
pub(crate) struct Meter {
    began: Instant,
    cpu: f64,
    events: u64,
}

impl Meter {
    /// Begins where `consumed` is at or beyond the warm-up of `skip` events.
    pub(crate) fn begin(begun: &mut Option<Self>, consumed: u64, skip: u64) -> Outcome<()> {
        if begun.is_none() && consumed >= skip {
            *begun = Some(Self { began: Instant::now(), cpu: cpu()?, events: consumed });
        }
        Ok(())
    }

    /// What was measured, now that all of `total` events are done.
    pub(crate) fn report(begun: Option<Self>, total: u64) -> Outcome<Value> {
        let first =
            begun.filter(|first| first.events < total).ok_or("the topic is too short for the warm-up")?;
        let (events, seconds) = ((total - first.events) as f64, first.began.elapsed().as_secs_f64());
        Ok(json!({
            "events": total - first.events,
            "seconds": seconds,
            "events_per_s": events / seconds,
            "cpu_us_per_event": (cpu()? - first.cpu) / events * 1e6,
            "peak_mib": peak()?,
        }))
    }
}

/// The most memory that this process has had, in MiB.
fn peak() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// Seconds of CPU, user and system, that this process has used. Ticks of 10 ms, and no unsafe code.
fn cpu() -> Outcome<f64> {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the name, in parentheses, and may hold spaces.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}
