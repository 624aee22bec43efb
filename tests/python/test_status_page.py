"""The status page in headless Chromium: live, readable, and safe against what comes from a stream."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from browser import CHROMIUM, Browser
from served import SCRIPT, Served, poison

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.timeout(180),
]
BEGIN = int(time.time()) // 10 * 10_000 - 60_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served("page") as served:
        poison(served, BEGIN)
        yield served


@pytest.fixture
def page(served: Served, tmp_path: Path) -> Iterator[Browser]:
    """Return the page, loaded; it may have complained of nothing, and asked only its own server."""
    with Browser(tmp_path / "profile") as browser:
        browser.size(1200)
        browser.open(served.url)
        browser.wait("document.querySelectorAll('#results tbody tr').length")
        yield browser
        assert browser.complaints == []
        assert {urlsplit(url).netloc for url in browser.requests if not url.startswith("data:")} == {
            urlsplit(served.url).netloc
        }


def text(page: Browser, selector: str) -> str:
    return str(page.eval(f"document.querySelector({selector!r}).textContent"))


def show_key(page: Browser, key: str) -> None:
    page.eval(f"byId('key').value = {key!r}, byId('ask').requestSubmit()")
    page.wait("byId('key-says').textContent", lambda said: str(said).startswith(f"Key {key}:"))


def test_it_says_what_runs_and_where_the_back_pressure_is(page: Browser) -> None:
    assert text(page, "#app") == "page"
    page.wait("byId('phase').textContent", lambda phase: phase == "running")
    assert page.eval("[...document.querySelectorAll('#flow b')].map(b => b.textContent)") == [
        "read",
        "window",
        "predict",
        "commit",
    ]
    page.wait("byId('pressure').textContent", lambda said: said == "No back-pressure.")
    assert page.eval("document.querySelectorAll('#partitions tbody tr').length") == 2
    assert "no mean of poison" in text(page, "#dead")
    assert "raise ValueError" in text(page, "#dead pre")


def test_charts_move_while_it_runs(page: Browser) -> None:
    last = "document.querySelector('#charts path.line').getAttribute('d')"
    first = page.wait(last)
    page.wait(last, lambda path: path != first)
    label = str(page.eval("document.querySelector('#charts svg').getAttribute('aria-label')"))
    assert label.startswith("Events, per second: now read ")


def test_the_timeline_of_a_key_shows_its_windows_live_and_what_became_of_them(
    page: Browser, served: Served
) -> None:
    show_key(page, "b")
    states = "[...document.querySelectorAll('#timeline rect')].map(r => r.classList[1])"
    page.wait(states, lambda found: "open" in found)
    opened = page.eval("document.querySelector('#timeline rect.open').dataset.id")
    served.send(BEGIN + 56_000, 7.0, key="b")
    served.send(BEGIN + 63_000, key="other")
    served.flush()
    page.wait(
        f"[...document.querySelectorAll('#timeline rect')].filter(r => r.dataset.id === {opened!r})"
        ".map(r => r.classList[1])[0]",
        lambda state: state == "predicted",
    )
    label = page.eval("document.querySelector('#timeline rect.predicted').getAttribute('aria-label')")
    assert "predicted" in label
    assert "mean" in label
    assert page.eval("document.querySelectorAll('#timeline circle.event').length") > 0
    assert page.eval("document.querySelectorAll('#timeline tbody tr').length") > 1


def test_late_events_are_seen_on_the_timeline(page: Browser, served: Served) -> None:
    show_key(page, "a")
    served.send(BEGIN + 40_000, key="a")
    served.flush()
    page.wait("document.querySelectorAll('#timeline circle.missed').length")
    labels = page.eval(
        "[...document.querySelectorAll('#timeline rect')].map(r => r.getAttribute('aria-label'))"
    )
    assert any("1 late" in label or "missed" in label for label in labels)


def test_a_script_as_key_is_text(page: Browser) -> None:
    page.eval("window.alert = () => { window.pwned = true; }")
    scripts = page.eval("document.scripts.length")
    buttons = "[...document.querySelectorAll('#results button.key')]"
    page.wait(f"{buttons}.some(b => b.textContent === {SCRIPT!r})")
    page.eval(f"{buttons}.find(b => b.textContent === {SCRIPT!r}).click()")
    page.wait("byId('key-says').textContent", lambda said: str(said).startswith(f"Key {SCRIPT}:"))
    assert page.eval("document.scripts.length") == scripts == 1
    assert page.eval("window.pwned") is None


def test_scripts_that_are_not_its_own_do_not_run(page: Browser) -> None:
    page.eval(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.pwned = 1'}))"
    )
    assert page.eval("window.pwned") is None
    # The browser may say what it has refused after it has answered.
    page.wait("1", lambda _: any("Content Security Policy" in complaint for complaint in page.complaints))
    assert page.eval("window.pwned") is None
    page.complaints.clear()


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_in_both_colour_schemes(page: Browser, dark: bool) -> None:
    page.size(380, dark=dark)
    show_key(page, "b")
    page.wait("document.querySelectorAll('#timeline rect').length")
    page.wait("document.documentElement.scrollWidth", lambda width: width == 380)
    colour = "rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)"
    page.wait("getComputedStyle(document.body).backgroundColor", lambda shown: shown == colour)


def test_everything_that_can_be_used_can_be_reached_by_keyboard_and_has_a_name(page: Browser) -> None:
    show_key(page, "b")
    page.wait("document.querySelectorAll('#timeline rect').length")
    unnamed = page.eval(
        "[...document.querySelectorAll('button, input, a, summary, [tabindex=\"0\"], svg')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.outerHTML)"
    )
    assert unnamed == []
    page.eval("byId('key').focus(), byId('key').value = 'a', byId('ask').requestSubmit()")
    page.wait("byId('key-says').textContent", lambda said: str(said).startswith("Key a:"))
    assert page.eval("document.activeElement.id") == "key"
