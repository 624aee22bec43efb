"""The site is whole: each page is in its menu, each setting documented, its tables are those of the code."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import millstream
from harness import headers, reading
from millstream import App, MillstreamError, Record, Topic, WindowBatch, _settings, _web
from millstream.cli._errors import one_line_errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ELSEWHERE = {"index.md", "examples.md", "changelog.md", "contributing.md"}
"""Pages of the site that scripts/docs takes from other places of the repository."""

CODE = re.compile(r"`([^`]+)`")
PYTHON = re.compile(r"^```(python|py)$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
ANCHORED = re.compile(r"\]\(([^)\s:#]*)#([^)\s]+)\)")


def menu(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for page in entry.values():
            if isinstance(page, str):
                yield page
            else:
                yield from menu(page)


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of a page, without its own heading."""
    text = (DOCS / page).read_text()
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]


def codes(cells: list[str]) -> list[str]:
    return [code for cell in cells for code in CODE.findall(cell)]


def slug(heading: str) -> str:
    """Return the anchor of a heading, as the site and code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_page_is_in_the_menu_once() -> None:
    site = tomllib.loads((DOCS / "site.toml").read_text())
    listed = list(menu(site["project"]["nav"]))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} | ELSEWHERE
    assert sorted(listed) == sorted(pages), "list it in `nav` of docs/site.toml"


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix()
)
def test_an_anchor_of_a_link_is_a_heading(page: Path) -> None:
    for target, anchor in ANCHORED.findall(FENCED.sub("", page.read_text())):
        aim = (page.parent / target).resolve() if target else page
        anchors = {slug(heading) for heading in HEADING.findall(FENCED.sub("", aim.read_text()))}
        assert anchor in anchors, f"{target}#{anchor}"


def test_code_of_others_is_only_where_it_is_compared() -> None:
    # Blocks marked `py` are not executed; ours are marked `python`.
    others = {page.parent.name for page in DOCS.rglob("*.md") if "py" in PYTHON.findall(page.read_text())}
    assert others == {"from"}


@pytest.mark.parametrize("page", sorted((DOCS / "from").glob("*.md")), ids=lambda page: page.stem)
def test_who_comes_from_elsewhere_is_told_what_is_not_there(page: Path) -> None:
    missing = page.read_text().partition("## Not there yet\n")[2].lower()
    for plainly in ("keyed", "joins", "session", "repartitioning"):
        assert plainly in missing


def public() -> Iterator[tuple[str, Any]]:
    """Return what can be called and documented, by its name."""
    for name in millstream.__all__:
        thing = getattr(millstream, name)
        if isinstance(thing, type) and not issubclass(thing, BaseException):
            yield name, thing
            for method, member in vars(thing).items():
                if inspect.isfunction(member) and not method.startswith("_"):
                    yield f"{name}.{method}", member


@pytest.mark.parametrize(("name", "thing"), list(public()), ids=[name for name, _ in public()])
def test_every_setting_is_in_a_docstring(name: str, thing: Any) -> None:
    try:
        parameters = [p for p in inspect.signature(thing).parameters if p not in {"self", "_"}]
    except ValueError:  # compiled, and not made by users
        parameters = []
    documented = re.findall(r"^ +\*{0,2}(\w+): ", thing.__doc__ or "", re.MULTILINE)
    assert [p for p in parameters if p not in documented] == []


def test_every_variable_of_the_environment_is_listed() -> None:
    listed = set(codes([row[0] for row in rows("reference/settings.md", "Environment")]))
    sources = "".join(path.read_text() for path in (ROOT / "python").rglob("*.py"))
    assert listed == set(re.findall(r"MILLSTREAM_[A-Z_]*[A-Z]\b", sources))
    told = f"{_settings.__doc__}{_web.__doc__}"
    assert listed == set(re.findall(r"MILLSTREAM_[A-Z_]*[A-Z]\b", told))


def test_every_librdkafka_setting_that_is_refused_is_listed() -> None:
    source = (ROOT / "src" / "kafka" / "settings.rs").read_text()
    owned = re.search(r"const OWNED: .*?\];", source, re.DOTALL)
    assert owned is not None
    refused = re.findall(r'^ +\("([a-z.]+)"', owned[0], re.MULTILINE)
    listed = codes([row[0] for row in rows("reference/settings.md", "librdkafka")])
    assert sorted(listed) == sorted(refused)


def test_the_reasons_are_those_of_the_code() -> None:
    source = (ROOT / "src" / "decode" / "reason.rs").read_text()
    listed = codes([row[0] for row in rows("reference/records.md", "Reasons")])
    assert sorted(listed) == sorted(re.findall(r'Self::\w+ => "(\w+)"', source))


def test_the_headers_are_those_that_are_written() -> None:
    def poisoned(batch: WindowBatch) -> list[float]:
        if batch.values.max() > 1:
            raise ValueError("poison")
        return [0.0] * len(batch)

    app = App("app")
    source = Topic("readings", timestamp="ts", fields=["v"])
    window = millstream.TumblingWindow("10s", grace="0s")
    app.model(source=source, window=window, sink="results", late="topic", version="1")(poisoned)
    records = [reading(0), reading(25_000, 2.0), reading(1), Record(b"no JSON")]
    out = app.test({"readings": records})
    dead = [headers(record) for record in out["app.dead-letter"]]
    written = {
        "result": headers(out["results"][0]),
        "late event": headers(out["app.late"][0]),
        "dead record": next(found for found in dead if found["reason"] == "not_json"),
        "dead window": next(found for found in dead if found["reason"] == "model_error"),
    }
    kinds = ["result", "late event", "dead record", "dead window"]
    listed: dict[str, set[str]] = {kind: set() for kind in kinds}
    for row in rows("reference/records.md", "Headers"):
        for kind, said in zip(kinds, row[1:5], strict=True):
            if said == "yes":
                listed[kind] |= set(codes(row[:1]))
    assert listed == {kind: set(found) for kind, found in written.items()}


def test_the_errors_and_their_exit_codes_are_those_of_the_code() -> None:
    def exit_code(error: type[MillstreamError]) -> int:
        with pytest.raises(click.ClickException) as raised, one_line_errors():
            raise error("what is wrong")
        return raised.value.exit_code

    errors = [getattr(millstream, name) for name in millstream.__all__]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, MillstreamError)]
    listed = {codes(row[:1])[0]: int(row[1]) for row in rows("reference/exit-codes.md", "Errors")}
    assert listed == {error.__name__: exit_code(error) for error in errors}
