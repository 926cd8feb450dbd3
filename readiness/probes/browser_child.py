"""The process that holds the browser: reads a plan as JSON from stdin, opens the page, writes a report to stdout.

Run by `browser_process` as `python -m readiness.probes.browser_child PARENT_PID`; it ends with its parent and, at the
latest, shortly after its deadline. Playwright starts Chromium; all that Chromium connects to goes through the proxy.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Playwright, sync_playwright

from readiness.probes import net
from readiness.probes.base import ErrorReason
from readiness.probes.browser_plan import MAX_ENTRIES, MAX_TEXT_CHARACTERS, BrowserReport, PageView, Plan, View
from readiness.probes.browser_proxy import CheckedProxy, run_proxy

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 1.0
_IDLE_MS, _SETTLE_MS = 2_000.0, 250.0
_MAX_URLS = 5_000
MAX_SCREENSHOT_BYTES = 4 * 1024 * 1024
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "0.0.0.0", "::1", "::")  # noqa: S104  names to find, not to bind

_MEASURE = """() => {
  const root = document.documentElement, body = document.body;
  const shuts = (element) => ['hidden', 'clip'].includes(getComputedStyle(element).overflowX);
  const isShut = shuts(root) || (body !== null && getComputedStyle(root).overflowX === 'visible' && shuts(body));
  const wide = [];
  const elements = document.querySelectorAll('body *');
  for (let at = 0; at < Math.min(elements.length, 5000) && wide.length < 5; at += 1) {
    const element = elements[at], box = element.getBoundingClientRect();
    const beyond = Math.round(box.right + scrollX - root.clientWidth);
    if (box.width > 0 && beyond > 1) {
      const id = element.id ? '#' + element.id : '';
      const classes = [...element.classList].slice(0, 3).map((name) => '.' + name).join('');
      wide.push(`${element.tagName.toLowerCase()}${id}${classes} by ${beyond} px`.slice(0, 200));
    }
  }
  return {
    scroll_width: isShut ? root.clientWidth : root.scrollWidth,
    client_width: root.clientWidth,
    wide_elements: isShut ? [] : wide,
    viewport_meta: document.querySelector('meta[name=viewport]')?.content?.slice(0, 200) ?? null,
    manifest_url: document.querySelector('link[rel~=manifest]')?.href?.slice(0, 500) ?? null,
  };
}"""
_FIND_SERVICE_WORKER = """async () => {
  if (!('serviceWorker' in navigator)) return false;
  const limit = new Promise((resolve) => setTimeout(() => resolve([]), 1000));
  return (await Promise.race([navigator.serviceWorker.getRegistrations(), limit])).length > 0;
}"""


class _Notes:
    """What a page in one window says and asks for while it loads."""

    def __init__(self, page: Page, proxy: CheckedProxy) -> None:
        self._proxy = proxy
        self._console: list[tuple[str, str]] = []
        self.mixed: list[str] = []
        self.urls: list[str] = []
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self._note_error(_cut(str(error)), ""))
        page.on("websocket", lambda socket: self._note_url(socket.url))
        page.context.on("request", lambda request: self._note_url(request.url))

    def _note_url(self, url: str) -> None:
        if len(self.urls) < _MAX_URLS:
            self.urls.append(_cut(url))

    def _note_error(self, text: str, where: str) -> None:
        if len(self._console) < MAX_ENTRIES:
            self._console.append((text, where))

    def _note_console(self, message: ConsoleMessage) -> None:
        text = _cut(message.text)
        if text.startswith("Mixed Content:"):
            if len(self.mixed) < MAX_ENTRIES:
                self.mixed.append(text)
        elif message.type == "error":
            where = message.location.get("url", "")
            if where.partition("?")[0].endswith("/favicon.ico"):
                return  # asked for by the browser of its own accord, not by the page
            self._note_error(f"{text} ({_cut(where)})" if where else text, where)

    def split_console(self) -> tuple[tuple[str, ...], int]:
        """Return the page's errors, and how many only say that our own policy refused a connection."""
        refused = {each.host for each in self._proxy.refusals if each.reason == ErrorReason.ADDRESS_NOT_ALLOWED}
        own = [
            text
            for text, where in self._console
            if _host_of(where) not in refused and not any(f"//{host}" in text for host in refused)
        ]
        return tuple(dict.fromkeys(own)), len(self._console) - len(own)

    def web_urls(self) -> list[str]:
        return list(dict.fromkeys(url for url in self.urls if url.startswith(("http:", "https:", "ws:", "wss:"))))


def main() -> None:
    tie_to_parent(int(sys.argv[1]))
    plan = Plan.from_json(sys.stdin.read())
    watchdog = threading.Timer(plan.seconds + _GRACE_SECONDS, os._exit, args=[3])
    watchdog.daemon = True
    watchdog.start()
    sys.stdout.write(look(plan).to_json())
    sys.stdout.flush()


def tie_to_parent(parent_pid: int) -> None:
    """Ask the kernel to end this process with the thread that started it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(1)


def look(plan: Plan) -> BrowserReport:
    """Open the page of `plan` in each of its windows, all within its seconds."""
    deadline = net.Deadline(plan.seconds)
    door = net.Door(deadline, plan.address_policy, plan.connect_to)
    with run_proxy(door) as proxy, sync_playwright() as playwright:
        try:
            browser = _launch(playwright, plan, proxy)
        except Error as error:
            return BrowserReport(problem=_name_problem(error.message), problem_text=_cut(error.message.split("\n")[0]))
        views = []
        for position, view in enumerate(plan.views):
            with contextlib.suppress(net.DeadlineError):
                seconds = deadline.remaining_seconds() / (len(plan.views) - position)
                views.append(_open_view(browser, plan.url, view, seconds, proxy))
        report = BrowserReport(tuple(views), tuple(proxy.refusals), browser.version)
        with contextlib.suppress(Error):
            browser.close()
    return report


def _launch(playwright: Playwright, plan: Plan, proxy: CheckedProxy) -> Browser:
    arguments = [
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever slips past the proxy finds nothing
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]
    if plan.trusted_keys:
        arguments.append(f"--ignore-certificate-errors-spki-list={','.join(plan.trusted_keys)}")
    return playwright.chromium.launch(
        executable_path=plan.chromium or None,
        chromium_sandbox=plan.is_sandboxed,
        args=arguments,
        proxy={
            "server": f"http://127.0.0.1:{proxy.port}",
            "username": proxy.user,
            "password": proxy.password,
            "bypass": "<-loopback>",
        },
        timeout=plan.seconds * 1000,
    )


def _name_problem(message: str) -> str:
    if "Executable doesn't exist" in message or "executable doesn't exist" in message:
        return "browser_missing"
    if "Timeout" in message:
        return "timeout"
    return "no_sandbox" if "sandbox" in message.lower() else "browser_failed"


def _open_view(browser: Browser, url: str, view: View, seconds: float, proxy: CheckedProxy) -> PageView:
    ends_at = time.monotonic() + seconds
    context = browser.new_context(
        viewport={"width": view.width, "height": view.height},
        is_mobile=view.is_mobile,
        has_touch=view.is_mobile,
        accept_downloads=False,
    )
    context.set_default_timeout(seconds * 1000)
    try:
        page = context.new_page()
        return _load(page, url, view, ends_at, _Notes(page, proxy))
    finally:
        with contextlib.suppress(Error):
            context.close()


def _load(page: Page, url: str, view: View, ends_at: float, notes: _Notes) -> PageView:
    def left_ms(limit: float = 600_000.0) -> float:
        return max(1.0, min(limit, (ends_at - time.monotonic()) * 1000))

    started = time.monotonic()
    try:
        response = page.goto(url, wait_until="domcontentloaded", timeout=left_ms())
    except Error as error:
        return PageView(view.name, view.width, error=_name_load_error(error.message), requests=tuple(notes.web_urls()))
    with contextlib.suppress(Error):  # one image that never comes must not hide what is there
        page.wait_for_load_state("load", timeout=left_ms() * 0.6)
    load_ms = round((time.monotonic() - started) * 1000)
    with contextlib.suppress(Error):
        page.wait_for_load_state("networkidle", timeout=left_ms(_IDLE_MS))
        page.wait_for_timeout(left_ms(_SETTLE_MS))
    measured, has_worker, screenshot = {}, False, b""
    with contextlib.suppress(Error):
        measured = page.evaluate(_MEASURE)
        has_worker = bool(page.evaluate(_FIND_SERVICE_WORKER))
    with contextlib.suppress(Error):
        screenshot = page.screenshot(animations="disabled", timeout=left_ms())
    errors, policy_errors = notes.split_console()
    urls = notes.web_urls()
    if not measured:
        return PageView(view.name, view.width, error="net::ERR_TIMED_OUT", requests=tuple(urls[:MAX_ENTRIES]))
    return PageView(
        view=view.name,
        width=view.width,
        status_code=response.status if response else None,
        final_url=_cut(page.url),
        scroll_width=int(measured["scroll_width"]),
        client_width=int(measured["client_width"]),
        wide_elements=tuple(measured["wide_elements"]),
        viewport_meta=measured["viewport_meta"],
        manifest_url=measured["manifest_url"],
        has_service_worker=has_worker,
        console_errors=errors,
        policy_errors=policy_errors,
        mixed_content=tuple(dict.fromkeys(notes.mixed))[:MAX_ENTRIES],
        requests=tuple(urls[:MAX_ENTRIES]),
        request_count=len(urls),
        plain_requests=tuple(each for each in urls if each.startswith(("http:", "ws:")))[:MAX_ENTRIES],
        # A page that is served on this machine may ask it; one that is not was built with a developer's address.
        local_requests=()
        if is_local(_host_of(url))
        else tuple(each for each in urls if is_local(_host_of(each)))[:MAX_ENTRIES],
        load_ms=load_ms,
        screenshot=screenshot if len(screenshot) <= MAX_SCREENSHOT_BYTES else b"",
    )


def _name_load_error(message: str) -> str:
    """Return Chromium's word for what went wrong; a timeout of Playwright's own has the same word as Chromium's."""
    for word in message.replace("\n", " ").split():
        if word.startswith("net::ERR_"):
            return word
    return "net::ERR_TIMED_OUT" if "Timeout" in message else "net::ERR_FAILED"


def is_local(host: str) -> bool:
    """Say whether `host` is the visitor's own machine."""
    return host in _LOCAL_NAMES or host.startswith("127.") or host.endswith(".localhost")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _cut(text: str) -> str:
    return text[:MAX_TEXT_CHARACTERS]


if __name__ == "__main__":
    main()
