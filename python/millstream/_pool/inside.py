"""Whether this is a process of a model, which imports an app but must not run it."""

import multiprocessing

from millstream.errors import MillstreamError

PREFIX = "millstream-predict-"


def refuse() -> None:
    """Refuse to run an app in a process of a model.

    Raises:
        MillstreamError: This is one.
    """
    if multiprocessing.current_process().name.startswith(PREFIX):
        raise MillstreamError(
            "a process of a model imports the script that started it, and that runs the app again: write "
            'if __name__ == "__main__": above app.run() and app.test()'
        )
