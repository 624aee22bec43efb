//! The promises of the core, in one program: the engine under test and its oracle are compiled once.

mod adoption;
mod backtest;
mod buckets;
mod counterexamples;
#[path = "../engine/mod.rs"]
mod engine;
mod failures;
mod handover;
mod lane;
mod limits;
#[path = "../oracle/mod.rs"]
mod oracle;
mod oracle_itself;
mod properties;
mod retry;
mod scoring;
mod slow;
mod timeouts;
