"""Every exception Millstream raises of its own accord.

    MillstreamError
    ├── ConfigError (also a ValueError)
    ├── KafkaError
    ├── LostHistoryError
    ├── FencedError
    ├── StateLimitError
    ├── ModelError
    └── DecodeError

With `on_error="fail"` an exception raised inside a model's own code is not wrapped: it leaves `App.run()`
as it is.
"""


class MillstreamError(Exception):
    """Base of all the classes below; catch it to tell Millstream's errors from a model's."""


class ConfigError(MillstreamError, ValueError):
    """A setting is wrong; the message names it, the value it was given and the fix.

    Raised before anything is consumed.
    """


class KafkaError(MillstreamError):
    """The brokers refused a request, or could not be used for as long as we may wait."""


class LostHistoryError(MillstreamError):
    """Records that are still needed are no longer in the log.

    Deleted by retention, by compaction, or with a topic or group offsets that were made anew. Going on would
    skip them in silence.
    """


class FencedError(MillstreamError):
    """Another producer took over this one's transactional id; this process must not write any more."""


class StateLimitError(MillstreamError):
    """The state of open windows has grown beyond `max_state_bytes`, `max_keys` or `max_events_per_key`.

    The message names the limit, its value, the key or partition that holds most, and what to do. Nothing has
    been dropped: with a higher limit the next run goes on where the group stands.
    """


class ModelError(MillstreamError):
    """A model cannot be gone on with.

    Its results cannot be used (wrong number of rows, a reserved field name, no JSON value), it failed on
    batch after batch, or a call did not return within its `timeout`. Where an exception of the model's led
    to it, that is the `__cause__`.
    """


class DecodeError(MillstreamError):
    """The records of a source contradict its declaration as a whole.

    Nothing raises it today: records are judged one by one, and a declaration that cannot be meant, such as a
    wrong timestamp unit, is a ConfigError.
    """
