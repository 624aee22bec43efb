//! Keeps secrets out of texts: wherever the value of a sensitive setting stands in a log line or an error, `***` stands
//! instead. Our own texts name settings without values; this is for what librdkafka and brokers may say.

use std::borrow::Cow;

use crate::config::Plan;
use crate::error::Error;

/// What the name of a sensitive librdkafka setting has in it.
const SENSITIVE: [&str; 10] = [
    "password",
    "passphrase",
    "secret",
    "pem",
    "token",
    "jwt",
    "jaas",
    "username",
    "oauthbearer.config",
    "kinit",
];
/// Of a multi-line value, as of a key, each line of this length counts.
const LONG_LINE: usize = 16;
/// Shorter values would be found in ordinary words.
const SHORTEST: usize = 4;

/// What must not be seen.
#[derive(Clone, Default)]
pub struct Scrub {
    /// The longest first: one may be part of another.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scrub of {} values", self.secrets.len())
    }
}

impl Scrub {
    /// The secrets of an app.
    pub fn of(plan: &Plan) -> Self {
        let sensitive = |name: &str| SENSITIVE.iter().any(|word| name.to_ascii_lowercase().contains(word));
        let values = plan.kafka.iter().filter(|(name, _)| sensitive(name)).map(|(_, value)| value.trim());
        let lines = values.flat_map(|value| {
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= LONG_LINE);
            std::iter::once(value).filter(|value| value.len() >= SHORTEST).chain(lines)
        });
        let mut secrets: Vec<String> = lines.map(str::to_owned).collect();
        secrets.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// A text without them.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for secret in &self.secrets {
            if scrubbed.contains(secret) {
                scrubbed = Cow::Owned(scrubbed.replace(secret, "***"));
            }
        }
        scrubbed
    }

    /// An error without them; what a model raised is left as it is.
    #[must_use]
    pub fn error(&self, error: Error) -> Error {
        let clean = |text: String| self.text(&text).into_owned();
        match error {
            Error::Config(text) => Error::Config(clean(text)),
            Error::Kafka(text) => Error::Kafka(clean(text)),
            Error::LostHistory(text) => Error::LostHistory(clean(text)),
            Error::Fenced(text) => Error::Fenced(clean(text)),
            Error::Ended(text) => Error::Ended(clean(text)),
            Error::Internal { thread, what } => Error::Internal { thread, what: clean(what) },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(secrets: &[&str]) -> Scrub {
        Scrub { secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect() }
    }

    #[test]
    fn every_place_of_a_secret_is_covered_in_texts_and_errors() {
        let scrub = scrub(&["hunter22", "hunter2"]);
        assert_eq!(scrub.text("hunter2 and hunter22, hunter2"), "*** and ***, ***");
        assert_eq!(scrub.error(Error::config("bad: hunter2")).to_string(), "bad: ***");
        assert!(matches!(scrub.text("nothing"), Cow::Borrowed("nothing")));
        assert!(!format!("{scrub:?}").contains("hunter"));
    }
}
