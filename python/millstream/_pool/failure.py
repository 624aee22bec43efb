"""An exception on its way out of a process: itself where it can be pickled, and its words in any case."""

import pickle
import traceback
from dataclasses import dataclass

from millstream.errors import ModelError


class RemoteTraceback(Exception):
    """Where an exception was raised in another process, as text; the cause that it is printed with."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


@dataclass(frozen=True)
class Failure:
    """An exception of a model's, and the one that it was raised from."""

    text: str
    traceback: str
    error: bytes | None
    cause: bytes | None

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Take an exception down, in the process where it was raised."""
        # The first frame is that of the process that called the model.
        frames = None if error.__traceback__ is None else error.__traceback__.tb_next
        lines = traceback.format_exception(type(error), error, frames)
        text = "".join(traceback.format_exception_only(error)).strip()
        cause = None if error.__cause__ is None else _pickled(error.__cause__)
        return cls(text, "".join(lines).rstrip(), _pickled(error), cause)

    def exception(self, model: str) -> BaseException:
        """Return the exception; a ModelError that says the same where that cannot be pickled."""
        error = _loaded(self.error)
        if error is None:
            error = ModelError(f"model {model!r} raised {self.text}")
        cause = _loaded(self.cause)
        innermost = error if cause is None else cause
        innermost.__cause__ = RemoteTraceback(self.traceback)
        if cause is not None:
            error.__cause__ = cause
        return error


def _pickled(error: BaseException) -> bytes | None:
    # Whatever the parts of an exception do when they are pickled, it is not worth another failure.
    try:
        return pickle.dumps(error)
    except Exception:
        return None


def _loaded(error: bytes | None) -> BaseException | None:
    if error is None:
        return None
    try:
        loaded = pickle.loads(error)
    except Exception:
        return None
    return loaded if isinstance(loaded, BaseException) else None
