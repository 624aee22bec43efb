//! The dead-letter topic from outside the group: read whole, and answered under a position of its own, so that nothing
//! is answered twice.

mod answers;
mod pile;

pub use answers::Answers;
pub use pile::Pile;

use super::admin::{self, Topics};
use super::restore::KafkaReplay;
use super::settings::Settings;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::source::Replay;

/// The topics of an app as a run would find them, without making any.
pub fn topics(plan: &Plan, log: &Log) -> Result<Topics> {
    admin::look(plan, log)
}

/// Reads parts of the sources again.
pub fn replay(plan: &Plan, log: &Log) -> Result<impl Replay + use<>> {
    KafkaReplay::new(&Settings::new(plan, 0), log)
}

fn refuse_embedded(plan: &Plan) -> Result<()> {
    if plan.brokers == "embedded" {
        return Err(Error::config(
            "brokers=\"embedded\" keeps nothing beyond its process: dlq needs a Kafka cluster",
        ));
    }
    Ok(())
}
