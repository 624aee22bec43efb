"""What is published is what is meant: files of the sdist and the wheel, licences, links of the site."""

import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "millstream"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHEEL = "millstream-0.1.0-cp311-abi3-manylinux_2_28_x86_64.whl"
INFO = "millstream-0.1.0.dist-info"

FOLDERS = {"benches", "docs", "examples", "python", "scripts", "src", "tests"}
FILES = {
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "PKG-INFO",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "pyproject.toml",
    "rustfmt.toml",
}
KINDS = {
    "",
    ".css",
    ".csv",
    ".in",
    ".html",
    ".ipynb",
    ".js",
    ".json",
    ".md",
    ".py",
    ".pyi",
    ".rs",
    ".svg",
    ".toml",
    ".typed",
    ".xml",
    ".yml",
}


def script(name: str) -> ModuleType:
    """Import a script of the repository, whatever its name ends with."""
    path = ROOT / "scripts" / name
    loader = SourceFileLoader(f"script_{path.stem.replace('-', '_')}", str(path))
    spec = importlib.util.spec_from_file_location(loader.name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("sdist")
    subprocess.run(
        [sys.executable, "-m", "maturin", "sdist", "--out", out],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def test_the_sdist_has_no_stray_file(sdist: list[str]) -> None:
    def meant(name: str) -> bool:
        top = name.partition("/")[0]
        return name in FILES or (top in FOLDERS and Path(name).suffix in KINDS)

    assert [name for name in sdist if not meant(name)] == []


def test_the_sdist_has_what_a_build_needs(sdist: list[str]) -> None:
    needed = {
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/lib.rs",
        "python/millstream/py.typed",
    }
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*.rs")}
    brought = [path for name in ("_project", "_dashboards") for path in PACKAGE.joinpath(name).glob("*.*")]
    assert len(brought) > 5
    assert needed | sources | {path.relative_to(ROOT).as_posix() for path in brought} <= set(sdist)


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    check = script("dist-check")
    monkeypatch.setattr(check, "tracked", lambda: {"millstream/__init__.py"})
    return check


def wheel(folder: Path, *, name: str = WHEEL, **changes: str | None) -> Path:
    """Write a wheel with what has to be in it, but for some changes."""
    crates = ["pyo3", "rdkafka", "rdkafka-sys", "openssl-src"]
    files: dict[str, str | None] = {
        "millstream/__init__.py": "",
        "millstream/_core.abi3.so": "",
        f"{INFO}/licenses/LICENSE": "",
        f"{INFO}/licenses/THIRD-PARTY-LICENSES.txt": "".join(
            f"\n{library}, in x\n" for library in ("librdkafka", "OpenSSL", "zlib", "zstd")
        ),
        f"{INFO}/sboms/millstream.cyclonedx.json": json.dumps({"components": [{"name": c} for c in crates]}),
        **changes,
    }
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            if text is not None:
                archive.writestr(file, text)
    return path


def test_a_whole_wheel_has_no_fault(checker: ModuleType, tmp_path: Path) -> None:
    assert checker.faults(wheel(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"millstream/notes.txt": ""}, "stray file millstream/notes.txt"),
        ({"millstream/__init__.py": None}, "missing millstream/__init__.py"),
        ({"millstream/_core.abi3.so": None}, "not one compiled module: []"),
        ({f"{INFO}/licenses/LICENSE": None}, "no LICENSE"),
        ({f"{INFO}/licenses/THIRD-PARTY-LICENSES.txt": "\nzlib, in x"}, "no licence of OpenSSL"),
        ({f"{INFO}/sboms/millstream.cyclonedx.json": None}, "the SBOM does not name rdkafka-sys"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_found(
    checker: ModuleType, tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    assert fault in checker.faults(wheel(tmp_path, **changes))


def test_a_wheel_for_one_version_of_python_is_found(checker: ModuleType, tmp_path: Path) -> None:
    one = wheel(tmp_path, name=WHEEL.replace("abi3", "cp311"))
    assert checker.faults(one) == ["not an abi3 wheel"]


def crate(folder: Path, name: str, **files: str) -> dict[str, str]:
    """Write the sources of a crate with some files, and return what cargo says of it."""
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file.replace("_", "-")).write_text(text)
    manifest = str(folder / name / "Cargo.toml")
    return {"name": name, "version": "1.0.0", "license": "MIT", "manifest_path": manifest}


def test_a_licence_of_two_crates_is_written_once_with_both_names(tmp_path: Path) -> None:
    packages = [crate(tmp_path, "a", LICENSE="the text"), crate(tmp_path, "b", LICENSE_MIT="the text")]
    assert script("licences").gather(packages) == {"the text": ["a 1.0.0 (MIT)", "b 1.0.0 (MIT)"]}


def test_a_crate_without_a_licence_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no licence among its sources"):
        script("licences").gather([crate(tmp_path, "a", README="words")])


def site(folder: Path, **pages: str) -> Path:
    """Write pages of a site."""
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(body)
    return folder


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="there.html">', None),
        ('<a href="there.html#part">', None),
        ('<a href="https://kafka.apache.org">', None),
        ('<a href="gone.html">', "here.html: gone.html is not there"),
        ('<img src="gone.svg">', "here.html: gone.svg is not there"),
        ('<a href="there.html#nowhere">', "here.html: there.html#nowhere has no such anchor"),
        ('<a href="/there.html">', "here.html: /there.html leaves the site"),
        ('<a href="../there.html">', "here.html: ../there.html is not there"),
        ('<script src="https://cdn.example/a.js">', "here.html: https://cdn.example/a.js is fetched"),
    ],
)
def test_a_link_of_the_site_that_leads_nowhere_is_found(tmp_path: Path, body: str, fault: str | None) -> None:
    pages = site(tmp_path, here=body, there='<h2 id="part">')
    assert script("docs_links.py").broken_links(pages) == ([] if fault is None else [fault])


def test_the_licences_are_part_of_the_metadata() -> None:
    assert PROJECT["project"]["license-files"] == ["LICENSE", "THIRD-PARTY-LICENSES*"]


def test_every_optional_library_that_is_imported_is_an_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    asked = {re.split(r"[<>=\[]", need)[0] for needs in extras.values() for need in needs}
    sources = "".join(path.read_text() for path in (ROOT / "python").rglob("*.py"))
    named = set(re.findall(r"'millstream\[(\w+)\]'", sources))
    assert named <= set(extras)
    assert asked >= {"pandas", "polars", "pyarrow", "scikit-learn"}


def test_actions_are_pinned_by_version() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", workflow.read_text())
        assert used
        assert [action for action in used if not re.fullmatch(r"[\w./-]+@v\d+(\.\d+)*", action)] == []
