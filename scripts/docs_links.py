"""Which links of a built site lead nowhere: pages, files and anchors, as a browser would look for them."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the ids of a tag and what it links to."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in {"href", "src"}:
                self.targets.append(value)
                if tag != "a" and urlsplit(value).netloc:
                    self.fetched.append(value)


def broken_links(site: Path) -> list[str]:
    """Return a line for each link that leads nowhere, and for each file that is fetched from elsewhere."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    broken = [
        f"{path.relative_to(site)}: {target} {problem}"
        for path, page in pages.items()
        for target in dict.fromkeys(page.targets)
        if (problem := fault(target, path, site, pages))
    ]
    fetched = [
        f"{path.relative_to(site)}: {target} is fetched"
        for path, page in pages.items()
        for target in page.fetched
    ]
    return broken + fetched


def fault(target: str, path: Path, site: Path, pages: dict[Path, Page]) -> str | None:
    """Return what is wrong with a link on a page, None where nothing is."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    if target.startswith("/"):
        return "leaves the site"
    aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if aim.is_dir():
        aim /= "index.html"
    if not aim.is_relative_to(site.resolve()) or not aim.exists():
        return "is not there"
    if parts.fragment and aim in pages and unquote(parts.fragment) not in pages[aim].anchors:
        return "has no such anchor"
    return None
