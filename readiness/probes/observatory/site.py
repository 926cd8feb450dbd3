"""What the rules read: the two chains of answers of one host, joined headers, and the OPTIONS answer. Pure values."""

from dataclasses import dataclass

from readiness.probes.http_client import Response
from readiness.probes.observatory.cookies import Cookie, CookieJar

# Headers of which only the first counts when they are repeated; all others arrive joined, as browsers see them.
_SINGLE_VALUE_HEADERS = frozenset(
    {"age", "authorization", "content-length", "content-type", "etag", "expires", "from", "host", "if-modified-since"}
    | {"if-unmodified-since", "last-modified", "location", "max-forwards", "proxy-authorization", "referer"}
    | {"retry-after", "server", "user-agent"}
)
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Chain:
    """The answers from the first URL to the last, whether TLS was verified, and the cookies they left behind."""

    answers: tuple[Response, ...]
    verified: bool
    jar: CookieJar

    @property
    def final(self) -> Response:
        return self.answers[-1]

    @property
    def urls(self) -> list[str]:
        return [answer.url for answer in self.answers]


@dataclass(frozen=True, slots=True)
class Site:
    """One host as it was seen; a chain is None where the scheme did not answer."""

    host: str
    http: Chain | None
    https: Chain | None
    options: Response | None

    @property
    def auto(self) -> Chain | None:
        """The chain that most tests look at: https where it answered at all."""
        return self.https or self.http

    @property
    def cookies(self) -> list[Cookie]:
        return self.auto.jar.cookies() if self.auto else []

    @property
    def is_https(self) -> bool:
        """Whether the https URL answered, wherever its chain ends: so the rules decide what a site on https is."""
        return self.https is not None


def joined_header(response: Response, name: str) -> str | None:
    """Return the value of a header as a browser reads it: repeated ones joined by ", "; None when it is absent."""
    values = response.header_values(name)
    if not values:
        return None
    return values[0] if name.lower() in _SINGLE_VALUE_HEADERS else ", ".join(values).strip()


def is_html(response: Response) -> bool:
    """Say whether the answer counts as HTML: an exact, case-sensitive type before the first semicolon."""
    return (joined_header(response, "Content-Type") or "").partition(";")[0] in _HTML_TYPES
