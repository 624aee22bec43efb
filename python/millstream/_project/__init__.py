"""The files of a new project, as `millstream init` writes them: `$name` and `$brokers` are filled in."""

from importlib.resources import files
from string import Template

FILES = ("README.md", "pipeline.py", "pyproject.toml", "test_pipeline.py")


def contents(*, name: str, brokers: str) -> dict[str, str]:
    """Return the text of each file of a project.

    Args:
        name: The name of the app.
        brokers: Where Kafka is.
    """
    folder = files(__name__)
    texts = {file: (folder / f"{file}.in").read_text() for file in FILES}
    return {file: Template(text).substitute(name=name, brokers=brokers) for file, text in texts.items()}
