//! Instructions by callgrind: this program runs itself under it, a case at a time.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// The function by whose name a profiler finds what is measured.
const MEASURED: &str = "measured_part";

/// Instructions of what is measured when this program runs with `arguments`. The profile is left in a file.
pub(crate) fn count(arguments: &[&str], profile: &Path) -> Outcome<f64> {
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--dump-instr=no"])
        .arg(format!("--toggle-collect=*{MEASURED}*"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind does not run ({error}). Debian: apt install valgrind"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    let instructions: Option<f64> = collected.and_then(|count| count.parse().ok());
    instructions
        .filter(|count| ran.status.success() && *count > 0.0)
        .ok_or_else(|| format!("callgrind counted nothing of {arguments:?}:\n{said}").into())
}
