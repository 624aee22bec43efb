"""The notebook among the examples runs from top to bottom in a kernel, and shows what it says."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_windows.ipynb"


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[Any]]:
    """Return the outputs of each cell of code, by its first line."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=150, kernel_name="python3").execute()
    return {cell.source.splitlines()[0]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(cell: list[Any]) -> str:
    return "".join(output.text for output in cell if output.output_type == "stream")


def shown(cell: list[Any], kind: str) -> str:
    (found,) = (output.data[kind] for output in cell if kind in output.get("data", {}))
    return str(found)


@pytest.mark.timeout(180)
def test_results_come_while_the_kernel_is_free_and_are_right(outputs: dict[str, list[Any]]) -> None:
    lines = printed(outputs["app.start()"]).splitlines()
    assert len(lines) == 4
    for line in lines:
        key, events, steps = line.split()
        assert float(steps) == pytest.approx({"walker": 2.0, "runner": 3.0}[key], abs=0.11)
        assert 0 < int(events) <= 100
    assert re.fullmatch(r"2 events, \d+ windows\n", printed(outputs["counted = app.metrics()"]))


@pytest.mark.timeout(180)
def test_apps_windows_and_batches_are_pictures(outputs: dict[str, list[Any]]) -> None:
    assert "10s every 5s, grace 0ms" in shown(outputs["import numpy as np"], "text/html")
    assert "<svg" in shown(outputs["seen[0]"], "text/html")
    assert len(shown(outputs["seen[0][0].plot();"], "image/png")) > 1_000
    for cell in ("seen = []", "app.stop()"):
        html = shown(outputs[cell], "text/html")
        assert (html.count("<td"), "stopped" in html, "10s every 5s" in html) == (12, True, True)


@pytest.mark.timeout(180)
def test_a_model_that_is_defined_again_goes_on_where_the_first_one_has_stopped(
    outputs: dict[str, list[Any]],
) -> None:
    said = printed(outputs["end = begin + 60_000"])
    assert said == "['key', 'n_events', 'steps_per_second', 'swing', 'window']\n"


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
