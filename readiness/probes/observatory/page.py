"""Reads an HTML page as far as the rules need it: scripts, policy metas, referrer meta, base. Pure."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from readiness.probes.observatory.lists import registrable_domain
from readiness.probes.observatory.urls import clean_url, resolve_url

# Elements whose content is text to a browser, so that a <script> in there is none.
_TEXT_ELEMENTS = frozenset({"textarea", "title", "iframe", "xmp", "noembed", "noframes", "plaintext"})
_FOREIGN_ROOTS = frozenset({"svg", "math"})
_HTML_ISLANDS = frozenset({"foreignobject", "desc", "title", "annotation-xml"})  # HTML again inside a foreign root
# Elements that end a foreign root wherever they are opened in it, because authors forget to close it.
_BREAKOUTS = frozenset(
    {"b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "head", "hr"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre"}
    | {"ruby", "s", "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var"}
)
_COMMENT_END = re.compile(r"--!?>")
_WHITE_SPACE = " \t\n\f\r"
_WEB_SCHEMES = ("http", "https")
_PROTOCOL_RELATIVE = re.compile(r"//[^/]")
# From best to worst; the worst script decides, whatever the modifiers say.
SRI_SEVERITY = (
    "sri-implemented-and-external-scripts-loaded-securely",
    "sri-implemented-and-all-scripts-loaded-securely",
    "sri-implemented-but-external-scripts-not-loaded-securely",
    "sri-not-implemented-but-external-scripts-loaded-securely",
    "sri-not-implemented-and-external-scripts-not-loaded-securely",
)


@dataclass(frozen=True, slots=True)
class Script:
    """One script element: its src ("" for an inline script or one of SVG) and its integrity ("" without)."""

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
        self._noscript_depth = 0
        self._text_element: str | None = None
        self._foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._text_element is not None:
            return
        if tag in _TEXT_ELEMENTS and not self._is_foreign:
            self._text_element = tag
        elif tag == "template":
            self._template_depth += 1
        elif tag == "noscript":
            self._noscript_depth += 1
        elif tag in _FOREIGN_ROOTS or (self._foreign and tag in _HTML_ISLANDS):
            self._foreign.append(tag)
        elif not self._template_depth:
            if tag in _BREAKOUTS and self._is_foreign:
                self._foreign.clear()
            self._take(tag, dict(reversed(attrs)))  # of a repeated attribute the first counts

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._is_foreign:
            if tag == "script" and not self._template_depth and self._text_element is None:
                self._take(tag, dict(reversed(attrs)))
            return
        self.handle_starttag(tag, attrs)  # HTML knows no self-closing scripts
        if tag in self.CDATA_CONTENT_ELEMENTS:
            self.set_cdata_mode(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._text_element is not None:
            if tag == self._text_element != "plaintext":
                self._text_element = None
        elif tag == "template":
            self._template_depth = max(0, self._template_depth - 1)
        elif tag == "noscript":
            self._noscript_depth = max(0, self._noscript_depth - 1)
        elif tag in self._foreign:
            del self._foreign[self._foreign.index(tag) :]

    def parse_comment(self, i: int, report: bool = True) -> int:
        """Find the end of a comment as browsers do, also of <!--> and of one that is never closed."""
        start = i + len("<!--")
        for abrupt_end in (">", "->"):
            if self.rawdata.startswith(abrupt_end, start):
                return start + len(abrupt_end)
        end = _COMMENT_END.search(self.rawdata, start)
        return end.end() if end else len(self.rawdata)

    @property
    def _is_foreign(self) -> bool:
        return bool(self._foreign) and self._foreign[-1] in _FOREIGN_ROOTS

    def _take(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "script":
            src = "" if self._is_foreign else attributes.get("src") or ""
            self.page.scripts.append(Script(src, attributes.get("integrity") or ""))
        elif tag == "base" and "href" in attributes and self.page.base_href is None:
            self.page.base_href = attributes["href"] or ""
        elif tag == "meta" and attributes.get("content") and not self._noscript_depth:
            self._take_meta(attributes, attributes["content"] or "")

    def _take_meta(self, attributes: dict[str, str | None], content: str) -> None:
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
    """Return what one script says about the page; None for an own script without integrity, or an inline one."""
    if not script.src:
        return None
    scheme, script_host = _locate(script.src, base_href)
    if script_host is None or _is_same_site(script_host, host):
        return SRI_SEVERITY[1] if script.integrity and scheme != "http" else None
    if scheme == "https":
        return SRI_SEVERITY[0] if script.integrity else SRI_SEVERITY[3]
    return SRI_SEVERITY[2] if script.integrity else SRI_SEVERITY[4]


def _locate(src: str, base_href: str | None) -> tuple[str, str | None]:
    """Return scheme and host of a script's URL; the host is None when it is relative to the page itself.

    `//host/x.js` has no scheme: it counts as foreign and insecure, whatever the host.
    """
    src = clean_url(src)
    base = (base_href or "").strip(_WHITE_SPACE)
    try:
        has_base = urlsplit(base).scheme in _WEB_SCHEMES
        if not has_base and _PROTOCOL_RELATIVE.match(src):
            return "", ""
        if urlsplit(src).scheme not in (_WEB_SCHEMES if not has_base else (*_WEB_SCHEMES, "")):
            return "", None
        parts = urlsplit(resolve_url(base if has_base else "", src))
        return parts.scheme, parts.hostname
    except ValueError:
        return "", None


def _is_same_site(script_host: str, host: str) -> bool:
    if script_host.lower() == host.lower():
        return True
    domain = registrable_domain(script_host) if script_host else None
    return domain is not None and domain == registrable_domain(host)
