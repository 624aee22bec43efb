"""The documentation is true: its code runs, it prints what it says, and its links lead somewhere."""

import ast
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from harness import readings, recording_app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "examples" / "README.md"]

FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def shown_after(statement: ast.stmt, lines: list[str]) -> list[str]:
    """Return the comment lines right below a statement of a block: what it is said to print."""
    shown = []
    for line in lines[statement.end_lineno :]:
        if not line.startswith("# "):
            break
        shown.append(line.removeprefix("# "))
    return shown


def same(shown: str, printed: str) -> bool:
    """Whether a line is what was said, `...` standing for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, printed) is not None


def prints(statement: ast.stmt) -> bool:
    """Whether a statement, when it runs, is about to print."""
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    names = {function.id for function in calls if isinstance(function, ast.Name)}
    return isinstance(statement, ast.Expr | ast.For) and "print" in names


def run_block(code: str, first_line: int, page: Path, namespace: dict[str, Any]) -> list[str]:
    """Run a block statement by statement; return each difference between what is said and what is printed."""
    lines, differences = code.splitlines(), []
    for statement in ast.parse(code, page_id(page)).body:
        shown, line = shown_after(statement, lines), first_line + statement.lineno
        ast.increment_lineno(statement, first_line)
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(ast.Module([statement], []), page_id(page), "exec"), namespace)
        got = printed.getvalue().splitlines()
        if (got or prints(statement)) and (len(got) != len(shown) or not all(map(same, shown, got))):
            differences.append(f"{page_id(page)}:{line} prints\n" + "\n".join(f"# {text}" for text in got))
    return differences


def names_in(counters: Mapping[Any, Any]) -> Iterator[str]:
    """Return the names in a tree of counters, without those of topics, models and partitions."""
    for name, value in counters.items():
        if isinstance(name, str):
            yield name
        if name in {"sources", "models", "partitions"}:
            for each in value.values():
                yield from names_in(each)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page: Path) -> None:
    text = page.read_text()
    # The blocks of a page go on from each other; none is the main program, so none runs for ever.
    namespace: dict[str, Any] = {"__name__": page.stem}
    differences: list[str] = []
    for block in PYTHON.finditer(text):
        first_line = text.count("\n", 0, block.start(1))
        differences += run_block(block[1], first_line, page, namespace)
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("page", LINKED, ids=page_id)
def test_a_relative_link_points_to_a_file(page: Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text()))
    relative = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in relative if not (page.parent / link).exists()] == []


def test_every_counter_is_explained() -> None:
    app, _ = recording_app()
    app.test({"readings": readings(0)})
    text = (ROOT / "docs" / "semantics.md").read_text()
    assert [name for name in names_in(app.metrics()) if f"`{name}`" not in text] == []
