"""Reads an HTML page as far as the rules need it: scripts, policy metas, referrer meta, base. Pure."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from readiness.probes.observatory.lists import registrable_domain

# Elements whose content is text to a browser, so that a <script> in there is none.
_TEXT_ELEMENTS = frozenset({"textarea", "title", "iframe", "xmp", "noembed", "noframes"})
_BLANKS = " \t\n\f\r"
SRI_SEVERITY = (
    "sri-implemented-and-all-scripts-loaded-securely",
    "sri-implemented-and-external-scripts-loaded-securely",
    "sri-not-implemented-but-external-scripts-loaded-securely",
    "sri-implemented-but-external-scripts-not-loaded-securely",
    "sri-not-implemented-and-external-scripts-not-loaded-securely",
)


@dataclass(frozen=True, slots=True)
class Script:
    """One script that is loaded from elsewhere: its src as written, and its integrity ("" when there is none)."""

    src: str
    integrity: str


@dataclass(slots=True)
class Page:
    """What a page says about itself. `csp_metas` in order; `referrer_meta` is the last one with content."""

    scripts: list[Script] = field(default_factory=list)
    csp_metas: list[str] = field(default_factory=list)
    referrer_meta: str | None = None
    base_href: str | None = None


def read_page(body: bytes) -> Page:
    """Parse the HTML in `body`, whatever is in it."""
    reader = _PageReader()
    reader.feed(body.decode("utf-8", "replace"))
    reader.close()
    return reader.page


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._template_depth = 0
        self._text_element: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._text_element is not None:
            return
        if tag in _TEXT_ELEMENTS:
            self._text_element = tag
        elif tag == "template":
            self._template_depth += 1
        elif not self._template_depth:
            self._take(tag, dict(reversed(attrs)))  # of a repeated attribute the first counts

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # HTML knows no self-closing scripts
        if tag in self.CDATA_CONTENT_ELEMENTS:
            self.set_cdata_mode(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._text_element is not None:
            if tag == self._text_element:
                self._text_element = None
        elif tag == "template":
            self._template_depth = max(0, self._template_depth - 1)

    def _take(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "script" and attributes.get("src"):
            self.page.scripts.append(Script(attributes["src"] or "", (attributes.get("integrity") or "").strip()))
        elif tag == "base" and attributes.get("href") and self.page.base_href is None:
            self.page.base_href = attributes["href"]
        elif tag == "meta" and attributes.get("content"):
            content = attributes["content"] or ""
            if (attributes.get("http-equiv") or "").strip().lower() == "content-security-policy":
                self.page.csp_metas.append(content)
            if (attributes.get("name") or "").strip().lower() == "referrer":
                self.page.referrer_meta = content


def judge_sri(page: Page, host: str) -> str:
    """Return the result code of the subresource-integrity test for an HTML page of `host`."""
    if not page.scripts:
        return "sri-not-implemented-but-no-scripts-loaded"
    codes = [code for script in page.scripts if (code := _judge_script(script, page.base_href, host)) is not None]
    return max(codes, key=SRI_SEVERITY.index, default="sri-not-implemented-but-all-scripts-loaded-from-secure-origin")


def _judge_script(script: Script, base_href: str | None, host: str) -> str | None:
    """Return what one script says about the page; None for an own script without integrity."""
    src = script.src.strip(_BLANKS)
    relative_scheme = src.startswith("//")
    scheme, script_host = _locate(src, base_href)
    own = not relative_scheme and (script_host is None or _is_same_site(script_host, host))
    if own:
        return SRI_SEVERITY[0] if script.integrity else None
    if scheme == "https" and not relative_scheme:
        return SRI_SEVERITY[1] if script.integrity else SRI_SEVERITY[2]
    return SRI_SEVERITY[3] if script.integrity else SRI_SEVERITY[4]


def _locate(src: str, base_href: str | None) -> tuple[str, str | None]:
    """Return scheme and host of a script's URL; the host is None when it is relative to the page itself."""
    try:
        parts = urlsplit(urljoin(base_href.strip(_BLANKS), src) if base_href else src)
        return parts.scheme, parts.hostname
    except ValueError:
        return "", None


def _is_same_site(script_host: str, host: str) -> bool:
    if script_host.lower() == host.lower():
        return True
    domain = registrable_domain(script_host)
    return domain is not None and domain == registrable_domain(host)
