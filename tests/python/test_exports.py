"""The public names are complete, documented, and found where users import them from."""

import importlib.metadata
import importlib.resources
import inspect

import pytest

import millstream
from millstream import errors

ERRORS = [error for _, error in inspect.getmembers(errors, inspect.isclass)]


def test_every_exported_name_exists() -> None:
    missing = [name for name in millstream.__all__ if not hasattr(millstream, name)]
    assert missing == []


def test_every_public_name_is_exported() -> None:
    public = {name for name, value in vars(millstream).items() if inspect.isclass(value)}
    assert public <= set(millstream.__all__)


@pytest.mark.parametrize("name", [name for name in millstream.__all__ if name != "__version__"])
def test_public_classes_show_the_path_users_import(name: str) -> None:
    assert getattr(millstream, name).__module__ == "millstream"


@pytest.mark.parametrize("name", [name for name in millstream.__all__ if name != "__version__"])
def test_public_classes_have_a_docstring(name: str) -> None:
    assert getattr(millstream, name).__doc__


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_in_the_tree_and_exported(error: type[Exception]) -> None:
    assert issubclass(error, errors.MillstreamError)
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__name__ in millstream.__all__


def test_a_config_error_is_a_value_error() -> None:
    assert issubclass(millstream.ConfigError, ValueError)


def test_types_are_shipped() -> None:
    assert importlib.resources.files(millstream).joinpath("py.typed").is_file()


def test_the_version_is_that_of_the_package() -> None:
    assert millstream.__version__ == importlib.metadata.version("millstream")
