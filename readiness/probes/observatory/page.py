"""Reads an HTML page as far as the rules need it: scripts, policy metas, referrer meta, base. Pure."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from readiness.probes.http_client import ascii_host
from readiness.probes.observatory.lists import registrable_domain
from readiness.probes.observatory.urls import clean_url, resolve_url

# Elements whose content is text to a browser, so that a <script> in there is none.
_TEXT_ELEMENTS = frozenset({"textarea", "title", "iframe", "xmp", "noembed", "noframes", "plaintext"})
_FOREIGN_ROOTS = frozenset({"svg", "math"})
_HTML_ISLANDS = {  # HTML again inside a foreign root
    "svg": frozenset({"foreignobject", "desc", "title"}),
    "math": frozenset({"mi", "mo", "mn", "ms", "mtext", "annotation-xml"}),
}
_HTML_ANNOTATIONS = frozenset({"text/html", "application/xhtml+xml"})
# Elements that end a foreign root wherever they are opened in it, because authors forget to close it.
_BREAKOUTS = frozenset(
    {"b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "head", "hr"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre"}
    | {"ruby", "s", "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var"}
)
_COMMENT_END = re.compile(r"--!?>")
_SCRIPT_MARK = re.compile(r"<!--|-->|</?script(?=[\s/>])", re.IGNORECASE)
_WHITE_SPACE = " \t\n\f\r"
_BREAKOUT_ENDS = frozenset({"br", "p"})  # end tags that do the same
_FONT_WORDS = frozenset({"color", "face", "size"})  # with one of these <font> is HTML's, and does the same
# Elements after which a page is no page of frames any more.
_AGAINST_FRAMES = frozenset(
    {"applet", "area", "body", "br", "button", "dd", "dt", "embed", "hr", "iframe", "image", "img", "input", "keygen"}
    | {"li", "listing", "marquee", "object", "pre", "select", "table", "textarea", "wbr", "xmp"}
)
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
    """One script element: its src (None for an inline script or one of SVG) and its integrity ("" without)."""

    src: str | None
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
    reader.feed(body.decode("utf-8", "replace").replace("\x00", "\ufffd"))
    reader.close()
    return reader.page


class _ScriptEnd:
    """Finds where a script ends, with the one method of a pattern that HTMLParser uses.

    In a script, <!-- makes the next <script ... </script> a part of its text.
    """

    def search(self, text: str, start: int) -> re.Match[str] | None:
        is_escaped = is_nested = False
        for mark in _SCRIPT_MARK.finditer(text, start):
            word = mark[0].lower()
            if word == "<!--":
                is_escaped = True
            elif word == "-->":
                is_escaped = is_nested = False
            elif word == "<script":
                is_nested = is_escaped
            elif is_nested:
                is_nested = False
            else:
                return mark
        return None


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._template_depth = 0
        self._noscript_depth = 0
        self._text_element: str | None = None
        self._foreign: list[str] = []
        self._may_have_frames = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._text_element is not None:
            return
        if tag == "frameset" and self._may_have_frames:
            self._text_element = "plaintext"  # a page of frames has no scripts of its own after this
            return
        is_hidden = tag == "input" and (dict(reversed(attrs)).get("type") or "").lower() == "hidden"
        if tag in _AGAINST_FRAMES and not is_hidden:
            self._may_have_frames = False
        if tag in _TEXT_ELEMENTS and not self._is_foreign:
            self._text_element = tag
        elif tag == "template" and not self._is_foreign:
            self._template_depth += 1
        elif tag == "noscript":
            self._noscript_depth += 1
        elif tag in _FOREIGN_ROOTS or self._opens_island(tag, attrs):
            self._foreign.append(tag)
        elif not self._template_depth:
            if self._is_foreign and (tag in _BREAKOUTS or (tag == "font" and _FONT_WORDS.intersection(dict(attrs)))):
                self._foreign.clear()
            self._take(tag, dict(reversed(attrs)))  # of a repeated attribute the first counts

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._is_foreign:
            if tag == "script" and not self._template_depth and self._text_element is None:
                self._take(tag, dict(reversed(attrs)))
            return
        if tag in _FOREIGN_ROOTS:
            return  # there is nothing in it
        self.handle_starttag(tag, attrs)  # HTML knows no self-closing scripts
        if tag in self.CDATA_CONTENT_ELEMENTS:
            self.set_cdata_mode(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None and self._text_element is None and data.strip(_WHITE_SPACE):
            self._may_have_frames = False

    def handle_endtag(self, tag: str) -> None:
        if self._text_element is not None:
            if tag == self._text_element != "plaintext":
                self._text_element = None
        elif tag in _BREAKOUT_ENDS and self._is_foreign:
            self._foreign.clear()
        elif tag == "template":
            self._template_depth = max(0, self._template_depth - 1)
        elif tag == "noscript":
            self._noscript_depth = max(0, self._noscript_depth - 1)
        elif tag in self._foreign:
            del self._foreign[self._foreign.index(tag) :]

    def parse_endtag(self, i: int) -> int:
        """End a script or style at its end tag, whatever stands in that behind the name."""
        if self.cdata_elem is None:
            return super().parse_endtag(i)
        end, tag = self.rawdata.find(">", i), self.cdata_elem
        if end < 0:
            return -1
        self.clear_cdata_mode()
        self.handle_endtag(tag)
        return end + 1

    def parse_comment(self, i: int, report: bool = True) -> int:
        """Find the end of a comment as browsers do, also of <!--> and of one that is never closed."""
        start = i + len("<!--")
        for abrupt_end in (">", "->"):
            if self.rawdata.startswith(abrupt_end, start):
                return start + len(abrupt_end)
        end = _COMMENT_END.search(self.rawdata, start)
        return end.end() if end else len(self.rawdata)

    def set_cdata_mode(self, elem: str, **options: Any) -> None:
        """Take what follows as text up to the element's end; in SVG and MathML scripts and styles are markup."""
        if self._is_foreign:
            return
        super().set_cdata_mode(elem, **options)
        is_script = elem == "script"
        self.interesting = _ScriptEnd() if is_script else re.compile(rf"</{elem}(?=[\s/>])", re.IGNORECASE)  # type: ignore[assignment]

    def _opens_island(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        if not self._is_foreign or tag not in _HTML_ISLANDS[self._foreign[-1]]:
            return False
        return tag != "annotation-xml" or (dict(attrs).get("encoding") or "").lower() in _HTML_ANNOTATIONS

    @property
    def _is_foreign(self) -> bool:
        return bool(self._foreign) and self._foreign[-1] in _FOREIGN_ROOTS

    def _take(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "script":
            src = attributes["src"] or "" if "src" in attributes and not self._is_foreign else None
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


def judge_sri(page: Page, host: str, *, is_https: bool) -> str:
    """Return the result code of the subresource-integrity test for an HTML page of `host`, served over https or not."""
    if not page.scripts:
        return "sri-not-implemented-but-no-scripts-loaded"
    codes = [
        code for script in page.scripts if (code := _judge_script(script, page.base_href, host, is_https)) is not None
    ]
    return max(codes, key=SRI_SEVERITY.index, default="sri-not-implemented-but-all-scripts-loaded-from-secure-origin")


def _judge_script(script: Script, base_href: str | None, host: str, is_https: bool) -> str | None:
    """Return what one script says about the page; None for an own script without integrity, or an inline one."""
    if not script.src and (script.src is None or _read_base(base_href or "") is None):
        return None
    scheme, script_host = _locate(script.src, base_href)
    if script_host is None or _is_same_site(script_host, host):
        is_secure = is_https if script_host is None else scheme == "https"
        return SRI_SEVERITY[1] if script.integrity and is_secure else None
    if scheme == "https":
        return SRI_SEVERITY[0] if script.integrity else SRI_SEVERITY[3]
    return SRI_SEVERITY[2] if script.integrity else SRI_SEVERITY[4]


def _locate(src: str, base_href: str | None) -> tuple[str, str | None]:
    """Return scheme and host of a script's URL; the host is None when it is relative to the page itself.

    `//host/x.js` has no scheme: it counts as foreign and insecure, whatever the host.
    """
    base = _read_base(base_href or "")
    if base is None and _PROTOCOL_RELATIVE.match(src):
        return "", ""
    src = clean_url(src)
    try:
        if urlsplit(src).scheme not in (_WEB_SCHEMES if base is None else (*_WEB_SCHEMES, "")):
            return "", None
        parts = urlsplit(resolve_url(base or "", src))
        return (parts.scheme, parts.hostname) if parts.scheme in _WEB_SCHEMES else ("", None)
    except ValueError:
        return "", None


def _read_base(base_href: str) -> str | None:
    """Return what relative scripts are seen from where a page says so itself; None where it does not, or badly."""
    try:
        base = resolve_url("", base_href)
        return base if urlsplit(base).scheme else None
    except ValueError:
        return None


def _is_same_site(script_host: str, host: str) -> bool:
    try:
        script_host = ascii_host(script_host).lower()
    except ValueError:
        return False
    if script_host == host.lower():
        return True
    domain = registrable_domain(script_host) if script_host else None
    return domain is not None and domain == registrable_domain(host)
