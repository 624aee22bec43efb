//! What combinations of settings cannot work: refused before anything is consumed, with the setting, the value
//! and the fix.

use std::collections::HashSet;

use super::{Guarantee, ModelConfig, Plan, Unit};
use crate::error::{Error, Result};
use crate::time::Millis;

/// The longest duration of a window, hop, offset or grace: about a hundred years.
const LONGEST: Millis = 100 * 366 * 24 * 3_600_000;

pub(super) fn plan(plan: &Plan) -> Result<()> {
    topic_name("the source topic", plan.sources.iter().map(|s| s.topic.as_str()))?;
    topic_name("sink", plan.models.iter().map(|m| m.sink.as_str()))?;
    topic_name("dead_letter_topic", std::iter::once(plan.dead_letter_topic.as_str()))?;
    topic_name("late_topic", std::iter::once(plan.late_topic.as_str()))?;
    if plan.models.is_empty() {
        return Err(Error::config(format!(
            "app {:?} has no model: register one with @app.model(...) before running it",
            plan.name
        )));
    }
    at_least("epoch", plan.epoch_ms.unwrap_or(1), 1)?;
    at_least("lanes", plan.lanes as i64, 1)?;
    at_least("drain_timeout", plan.drain_timeout_ms, 0)?;
    at_least("max_inflight_bytes", plan.max_inflight_bytes as i64, 1 << 16)?;
    for (limit, value) in [
        ("max_state_bytes", plan.max_state_bytes),
        ("max_keys", plan.max_keys),
        ("max_events_per_key", plan.max_events_per_key),
    ] {
        at_least(limit, value.map_or(1, |value| value as i64), 1)?;
    }
    if plan.brokers == "embedded" && plan.guarantee == Guarantee::ExactlyOnce {
        return Err(Error::config(
            "guarantee=\"exactly_once\" cannot hold on brokers=\"embedded\": it has no transactions. \
             Use guarantee=\"at_least_once\", or a real cluster",
        ));
    }
    for model in &plan.models {
        self::model(plan, model)?;
    }
    own_topics(plan)?;
    sinks(plan)?;
    chains(plan)
}

fn model(plan: &Plan, model: &ModelConfig) -> Result<()> {
    let name = &model.name;
    if plan.models.iter().filter(|other| other.name == *name).count() > 1 {
        return Err(Error::config(format!("two models are named {name:?}: give one of them another name=")));
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<' | '>');
    if name.is_empty() || name.len() > 100 || !name.chars().all(valid) {
        return Err(Error::config(format!(
            "model name {name:?} is not of 1 to 100 ASCII letters, digits, '_', '-' and '.': give it another name="
        )));
    }
    let Some(source) = plan.sources.get(model.source) else {
        return Err(Error::config(format!("model {name} has no source {}", model.source)));
    };
    let unknown = |mine: &[String], declared: &[String]| mine.iter().find(|f| !declared.contains(f)).cloned();
    let undeclared =
        unknown(&model.fields, &source.fields).or_else(|| unknown(&model.context, &source.context));
    if let Some(field) = undeclared {
        return Err(Error::config(format!(
            "model {name} reads field {field:?}, which its source does not declare"
        )));
    }
    for (what, value, least) in [
        ("size", model.size_ms, 1),
        ("hop", model.hop_ms, 1),
        ("grace", model.grace_ms, 0),
        ("offset", model.offset_ms, -LONGEST),
    ] {
        at_least(&format!("{what} of model {name}, in ms,"), value, least)?;
        if value > LONGEST {
            return Err(Error::config(format!(
                "{what} of model {name} is {value} ms; windows of more than 100 years are not supported"
            )));
        }
    }
    if model.hop_ms > model.size_ms {
        return Err(Error::config(format!(
            "hop of model {name} is {} ms, more than its size of {} ms: events between the windows would be lost. \
             Make hop at most size",
            model.hop_ms, model.size_ms
        )));
    }
    at_least(&format!("min_events of model {name}"), model.min_events as i64, 1)?;
    at_least(&format!("max_batch of model {name}"), model.max_batch as i64, 1)?;
    if let Some(pad) = model.pad_batch_to
        && pad < model.max_batch
    {
        return Err(Error::config(format!(
            "pad_batch_to of model {name} is {pad}, less than its max_batch of {}: make max_batch at most that",
            model.max_batch
        )));
    }
    at_least(&format!("max_batch_events of model {name}"), model.max_batch_events.unwrap_or(1) as i64, 1)?;
    model.length_buckets.check(name)?;
    at_least(&format!("target of model {name}, in ms,"), model.target_ms.unwrap_or(1), 1)?;
    at_least(&format!("timeout of model {name}, in ms,"), model.timeout_ms.unwrap_or(1), 1)?;
    at_least(&format!("max_wait of model {name}, in ms,"), model.max_wait_ms.unwrap_or(0), 0)?;
    at_least(&format!("workers of model {name}"), model.workers as i64, 1)
}

/// Sources, sinks, the late and the dead-letter topic must not be taken for each other.
fn own_topics(plan: &Plan) -> Result<()> {
    let used: HashSet<&str> = plan
        .sources
        .iter()
        .map(|s| s.topic.as_str())
        .chain(plan.models.iter().map(|m| m.sink.as_str()))
        .collect();
    for (setting, topic) in [("dead_letter_topic", &plan.dead_letter_topic), ("late_topic", &plan.late_topic)]
    {
        if used.contains(topic.as_str()) {
            return Err(Error::config(format!(
                "{setting}={topic:?} is a source or a sink of the same app: give it a topic of its own"
            )));
        }
    }
    if plan.dead_letter_topic == plan.late_topic {
        return Err(Error::config(format!(
            "dead_letter_topic and late_topic are both {:?}: give each a topic of its own",
            plan.late_topic
        )));
    }
    Ok(())
}

/// Models that share a sink are sorted together, which needs one clock and one watermark.
fn sinks(plan: &Plan) -> Result<()> {
    for (index, model) in plan.models.iter().enumerate() {
        for other in &plan.models[..index] {
            if other.sink != model.sink {
                continue;
            }
            let alike = other.grace_ms == model.grace_ms && other.unit() == model.unit();
            if other.source != model.source || !alike {
                return Err(Error::config(format!(
                    "models {} and {} share the sink {:?} but not source and grace, or only one of them is of single \
                     events, so their results could not be in order: give them the same source and grace, or a sink each",
                    other.name, model.name, model.sink
                )));
            }
        }
    }
    Ok(())
}

fn chains(plan: &Plan) -> Result<()> {
    let order = plan.sources_in_order();
    if let Some(source) = (0..plan.sources.len()).find(|source| !order.contains(source)) {
        return Err(Error::config(format!(
            "topic {:?} feeds itself through the sinks of this app: a model's results must not come back to it",
            plan.sources[source].topic
        )));
    }
    Ok(())
}

fn topic_name<'a>(setting: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    for name in names {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(valid) {
            return Err(Error::config(format!(
                "{setting} {name:?} is no topic name: Kafka takes 1 to 249 ASCII letters, digits, '.', '_' and '-'"
            )));
        }
    }
    Ok(())
}

fn at_least(setting: &str, value: i64, least: i64) -> Result<()> {
    if value < least {
        return Err(Error::config(format!("{setting} is {value}; it must be at least {least}")));
    }
    Ok(())
}

/// What works, but hardly as it is meant.
pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, source) in plan.sources.iter().enumerate() {
        let Some(idle) = source.idle_timeout_ms else { continue };
        // Single events are held back by nothing, and wait for nothing.
        let holding = plan.upstream(index).into_iter().filter(|up| plan.models[*up].unit() == Unit::Window);
        for (upstream, model) in holding.flat_map(|up| {
            let models = plan.models_with(index, Unit::Window).into_iter();
            models.map(move |model| (&plan.models[up], &plan.models[model]))
        }) {
            let upstream_idle = plan.sources[upstream.source].idle_timeout_ms.unwrap_or(0);
            let least = upstream_idle + upstream.grace_ms - model.grace_ms;
            if idle <= least {
                warnings.push(format!(
                    "idle_timeout of topic {:?} is {idle} ms, but model {} upstream holds results back for up to \
                     {least} ms more than model {} waits: its clock would pass results that are still to come. Make it \
                     more than that, or leave it \"auto\"",
                    source.topic, upstream.name, model.name
                ));
            }
        }
    }
    warnings
}
