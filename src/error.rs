//! The one error type of the crate. It knows nothing of Python: `python/error.rs` maps each kind to one class.

use std::fmt;

/// What went wrong, by who has to act on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting, or a combination of settings, that cannot work.
    #[error("{0}")]
    Config(String),
    /// The cluster refused something or could not be reached.
    #[error("{0}")]
    Kafka(String),
    /// The history that the windows need is no longer there, or is not ours.
    #[error("{0}")]
    LostHistory(String),
    /// Another member has taken over this one's identity.
    #[error("{0}")]
    Fenced(String),
    /// What open windows need has grown beyond a limit that the app has been given.
    #[error("{0}")]
    StateLimit(String),
    /// The model did something that its contract does not allow.
    #[error("{0}")]
    Model(String),
    /// The model raised: the exception itself, untouched.
    #[error("model {model} raised: {summary}")]
    ModelRaised {
        /// The name of the model.
        model: String,
        /// The exception on one line.
        summary: String,
        /// Where it was raised, as text.
        traceback: String,
        /// Whether it is meant for the whole run, whatever the model's `on_error` says.
        fatal: bool,
        /// The place in its batch of the window that it was raised on, where the model has taken them one by one.
        window: Option<usize>,
        /// The exception.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The model failed so often that the run was stopped.
    #[error("{text}")]
    ModelBroken {
        /// What happened.
        text: String,
        /// The failure that came last.
        cause: Box<Error>,
    },
    /// The run is ending already: nothing that it still does counts.
    #[error("{0}")]
    Ended(String),
    /// A thread of ours ended in a way that it must not.
    #[error("internal error in {thread}: {what}. This is a bug in millstream; please report it")]
    Internal {
        /// The name of the thread.
        thread: String,
        /// The message of the panic.
        what: String,
    },
}

impl Error {
    /// A setting that cannot work.
    pub fn config(message: impl fmt::Display) -> Self {
        Self::Config(message.to_string())
    }

    /// A model that broke its contract.
    pub fn model(message: impl fmt::Display) -> Self {
        Self::Model(message.to_string())
    }
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;
