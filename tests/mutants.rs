//! The tests of the core, tested: with one rule broken, the property that guards it must fail. Each mutant runs in a
//! process of its own, this one started again with `MILLSTREAM_FAULT`.
#![cfg(feature = "fault")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "the table is the result")]

mod engine;
#[path = "core/handover.rs"]
mod handover;
#[path = "core/lane.rs"]
mod lane;
mod oracle;
#[path = "core/properties.rs"]
mod properties;

use std::process::{Command, Stdio};

const WINDOWS: &str = "properties::every_window_is_complete_in_order_and_emitted_once";
const CRASHES: &str = "properties::committed_output_after_crashes_at_any_step_equals_the_crash_free_one";
const IDLE: &str = "properties::idle_advances_are_facts_that_crashes_do_not_change";
const UNKNOWN: &str = "properties::transactions_that_abort_or_end_unknown_lose_and_repeat_nothing";
const REPLAY: &str = "lane::a_replay_counts_nothing_and_sends_nothing";

const HANDOVER: &str = "handover::a_call_that_ends_after_its_partition_has_gone_commits_nothing";

const MUTANTS: [(&str, &str); 13] = [
    ("drop_event", WINDOWS),
    ("boundary", WINDOWS),
    ("forget_overlap", WINDOWS),
    ("emit_early", WINDOWS),
    ("clock_not_restored", CRASHES),
    ("clock_of_live_state", CRASHES),
    ("replay_of_live_state", CRASHES),
    ("replay_of_one_model", CRASHES),
    ("late_in_replay", REPLAY),
    ("floor_forgotten", CRASHES),
    ("idle_without_cut", IDLE),
    ("state_reused", UNKNOWN),
    ("epochs_kept", HANDOVER),
];

/// Whether a test of this binary passes, with `fault` asked for.
fn passes(name: &str, fault: &str) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env("MILLSTREAM_FAULT", fault);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "there is no test {name}: {text}");
    output.status.success()
}

#[test]
fn every_mutant_of_the_core_is_killed_by_the_property_that_guards_its_rule() {
    let mut survivors = Vec::new();
    for (mutant, test) in MUTANTS {
        let killed = !passes(test, &format!("mutant:{mutant}"));
        println!("mutant {mutant}: {} {test}", if killed { "killed by" } else { "SURVIVED" });
        if !killed {
            survivors.push(mutant);
        }
    }
    assert!(survivors.is_empty(), "survived: {}", survivors.join(", "));
}
