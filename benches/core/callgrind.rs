//! Instructions by callgrind: this program runs itself under it, a case at a time.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::cases::Case;
use crate::work::MEASURED;

/// Instructions per event of a case. The profile of it stays below `profiles`.
pub(crate) fn count(case: &Case, profiles: &Path) -> Outcome<f64> {
    let file: String = case.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--dump-instr=no"])
        .arg(format!("--toggle-collect=*{MEASURED}*"))
        .arg(format!("--callgrind-out-file={}", profiles.join(file).with_extension("callgrind").display()))
        .arg(std::env::current_exe()?)
        .args(["case", &case.name])
        .output()
        .map_err(|error| format!("valgrind does not run ({error}). Debian: apt install valgrind"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    let instructions: Option<f64> = collected.and_then(|count| count.parse().ok());
    match instructions.filter(|count| ran.status.success() && *count > 0.0) {
        Some(count) => Ok(count / case.events as f64),
        None => Err(format!("callgrind counted nothing of {:?}:\n{said}", case.name).into()),
    }
}
