//! What all lanes and stages of one run share.

use std::sync::Arc;

use crate::config::Plan;
use crate::control::Control;
use crate::lane::Routes;
use crate::log::Log;
use crate::metrics::Metrics;

/// What all lanes of a run share.
#[derive(Clone)]
pub struct Shared {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The log.
    pub log: Log,
    /// How the run ends.
    pub control: Control,
    /// Where outputs go.
    pub routes: Routes,
    /// Whether a changed app is taken on where the group stands.
    pub adopt: bool,
    /// Whether the run ends at the end of the sources, and whether it drains.
    pub until_end: Option<bool>,
}
