//! The counts that the repository holds, for each toolchain: others make other instructions of the same code.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::cases::Counts;

/// By how much a count may differ before it is another.
pub(crate) const TOLERANCE: f64 = 0.05;

/// Counts by toolchain.
type Baselines = BTreeMap<String, Counts>;

/// The release of rustc and the target that it builds for.
pub(crate) fn toolchain() -> Outcome<String> {
    let said = String::from_utf8(Command::new("rustc").arg("-vV").output()?.stdout)?;
    let of = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (release, host) = of("release:").zip(of("host:")).ok_or("rustc -vV names no release and no host")?;
    Ok(format!("{release} {host}"))
}

/// The counts of a toolchain, where there are any.
pub(crate) fn read(file: &Path, toolchain: &str) -> Outcome<Option<Counts>> {
    Ok(all(file)?.remove(toolchain))
}

/// Puts counts in the place of those of a toolchain.
pub(crate) fn save(file: &Path, toolchain: &str, counts: &Counts) -> Outcome<()> {
    let rounded = counts.iter().map(|(name, count)| (name.clone(), (count * 10.0).round() / 10.0));
    let mut baselines = all(file)?;
    baselines.insert(toolchain.to_owned(), rounded.collect());
    Ok(std::fs::write(file, serde_json::to_string_pretty(&baselines)? + "\n")?)
}

fn all(file: &Path) -> Outcome<Baselines> {
    if !file.exists() {
        return Ok(Baselines::new());
    }
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}
