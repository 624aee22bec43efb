//! What was found out about an app and its cluster: `check` prints all of it, `run` ends with the first error.

use crate::error::{Error, Result};
use crate::log::{Level as LogLevel, Log};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It runs, but perhaps not as it is meant.
    Warning,
    /// It cannot run.
    Error,
}

impl Level {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was found; its text says the fix too.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The check that found it.
    pub check: &'static str,
    /// The topic, group or address that it is about.
    pub subject: String,
    /// What is so, and what to do about it.
    pub text: String,
    error: Option<Error>,
}

/// What was found, in the order of the checks.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, level: Level, check: &'static str, subject: &str, text: String, error: Option<Error>) {
        self.list.push(Finding { level, check, subject: subject.to_owned(), text, error });
    }

    /// Something is as it should be.
    pub fn ok(&mut self, check: &'static str, subject: &str, text: impl Into<String>) {
        self.add(Level::Ok, check, subject, text.into(), None);
    }

    /// Something should be looked at.
    pub fn warning(&mut self, check: &'static str, subject: &str, text: impl Into<String>) {
        self.add(Level::Warning, check, subject, text.into(), None);
    }

    /// Something that a run would end with.
    pub fn error(&mut self, check: &'static str, subject: &str, error: Error) {
        self.add(Level::Error, check, subject, error.to_string(), Some(error));
    }

    /// What a check that ends at its first error has to say.
    pub fn take<T>(&mut self, check: &'static str, subject: &str, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.error(check, subject, error)).ok()
    }

    /// Whether there is an error among them.
    pub fn failed(&self) -> bool {
        self.list.iter().any(|finding| finding.level == Level::Error)
    }

    /// All of them.
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }

    /// For a run: warnings and all errors but the first are logged, the first ends it.
    pub fn into_result(self, log: &Log) -> Result<()> {
        let mut first = None;
        for finding in self.list {
            match (finding.level, finding.error) {
                (Level::Ok, _) => {}
                (Level::Error, Some(error)) if first.is_none() => first = Some(error),
                (Level::Error, _) => log.say(LogLevel::Error, "check", finding.text),
                (Level::Warning, _) => log.warning("check", finding.text),
            }
        }
        first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_with_the_first_error_and_says_the_rest() {
        let mut findings = Findings::default();
        findings.ok("brokers", "b", "one");
        findings.warning("retention", "t", "short");
        findings.error("topics", "t", Error::config("absent"));
        findings.error("chains", "u", Error::config("unequal"));
        assert!(findings.failed());
        let (log, reader) = crate::log::channel();
        let outcome = findings.into_result(&log);
        assert!(matches!(outcome, Err(Error::Config(text)) if text == "absent"));
        let said: Vec<_> = reader.drain().into_iter().map(|line| line.text).collect();
        assert_eq!(said, ["short", "unequal"]);
    }
}
