"""What the browser probe tells its child process and hears from it: frozen values and their JSON. No I/O."""

import base64
import binascii
import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ConnectTo

MAX_ENTRIES = 100
MAX_TEXT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class View:
    """A window to open the page in."""

    name: str
    width: int
    height: int
    is_mobile: bool


VIEWS = (View("390x844", 390, 844, True), View("1440x900", 1440, 900, False))


@dataclass(frozen=True, slots=True)
class Plan:
    """One page to open; `trusted_keys` are hashes of keys whose certificates were verified with `ca_pem`."""

    url: str
    chromium: str
    seconds: float
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)
    connect_to: tuple[ConnectTo, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    is_sandboxed: bool = True
    views: tuple[View, ...] = VIEWS

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        table = json.loads(text)
        return cls(
            **{
                **table,
                "address_policy": AddressPolicy(**table["address_policy"]),
                "connect_to": tuple(ConnectTo(**each) for each in table["connect_to"]),
                "trusted_keys": tuple(table["trusted_keys"]),
                "views": tuple(View(**each) for each in table["views"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection that was not made, or not possible: a code of `net`, and one sentence."""

    host: str
    port: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class PageView:
    """A page in one window. Widths in CSS pixels; `wide_elements` stick out to the right."""

    view: str
    width: int
    status_code: int | None = None
    final_url: str = ""
    error: str = ""
    """Chromium's word for why there is no page, such as net::ERR_CERT_DATE_INVALID; "" when there is one."""
    scroll_width: int = 0
    client_width: int = 0
    wide_elements: tuple[str, ...] = ()
    viewport_meta: str | None = None
    manifest_url: str | None = None
    has_service_worker: bool = False
    console_errors: tuple[str, ...] = ()
    policy_errors: int = 0
    """Console errors that are the work of the portal's own address policy, and not counted among the others."""
    mixed_content: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    request_count: int = 0
    plain_requests: tuple[str, ...] = ()
    local_requests: tuple[str, ...] = ()
    load_ms: int = 0
    screenshot: bytes = field(default=b"", repr=False)

    def to_json_object(self) -> dict[str, Any]:
        table = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {**table, "screenshot": base64.b64encode(self.screenshot).decode()}


@dataclass(frozen=True, slots=True)
class BrowserReport:
    """What the child saw; `problem` is a code when it could not look at all."""

    views: tuple[PageView, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    browser_version: str = ""
    problem: str = ""
    problem_text: str = ""

    def to_json(self) -> str:
        return json.dumps(
            {
                "views": [view.to_json_object() for view in self.views],
                "refusals": [dataclasses.asdict(refusal) for refusal in self.refusals],
                "browser_version": self.browser_version,
                "problem": self.problem,
                "problem_text": self.problem_text,
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> "BrowserReport":
        """Read what a child wrote. Raises ValueError when it is not whole."""
        try:
            table = json.loads(text)
            views = tuple(_read_view(each) for each in table.pop("views"))
            refusals = tuple(Refusal(**each) for each in table.pop("refusals"))
            return cls(views=views, refusals=refusals, **table)
        except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise ValueError("the browser process wrote no whole report") from error


def _read_view(table: dict[str, Any]) -> PageView:
    lists = ("wide_elements", "console_errors", "mixed_content", "requests", "plain_requests", "local_requests")
    read: dict[str, Any] = {name: tuple(value) if name in lists else value for name, value in table.items()}
    return PageView(**{**read, "screenshot": base64.b64decode(table["screenshot"])})
