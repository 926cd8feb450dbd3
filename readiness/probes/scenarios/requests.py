"""Turns a step and the values known so far into one request: address, headers, content. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from readiness.probes.scenarios.model import Scenario, Step, Upload
from readiness.probes.scenarios.values import RequestError, Values


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent; `content` None sends no body."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    content: bytes | None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def _generate_content(upload: Upload, values: Values) -> bytes:
    """Return the bytes of an upload; a generated one differs from run to run and user to user."""
    if upload.text is not None:
        return values.fill(upload.text).encode()
    if upload.data is not None:
        return upload.data
    seed = f"{values.get('run')} {values.get('user')} {upload.field} {upload.filename}"
    return hashlib.shake_256(seed.encode()).digest(upload.size_bytes)


def _prepare_files(step: Step, values: Values) -> list[bytes]:
    """Generate the step's files and make their hashes known as sha256.FIELD."""
    contents = [_generate_content(upload, values) for upload in step.files]
    for upload, content in zip(step.files, contents, strict=True):
        values.known[f"sha256.{upload.field}"] = hashlib.sha256(content).hexdigest()
    return contents


def build_request(step: Step, scenario: Scenario, values: Values) -> Request:
    """Fill a step in. Raises MissingValueError, or RequestError when a value would break the request."""
    contents = _prepare_files(step, values)
    url = join_url(scenario.base_url, values.fill_url(step.url))
    headers = [(name, values.fill(value)) for name, value in step.headers]
    names = {name.lower() for name, _ in headers}
    content_type, content = _build_content(step, values, contents)
    if content_type and "content-type" not in names:
        headers.append(("Content-Type", content_type))
    if step.method not in ("GET", "HEAD") and "origin" not in names:
        headers.append(("Origin", origin_of(scenario.base_url)))  # as the page at the base address would
    headers = [(name, value) for name, value in headers if value]
    for name, value in headers:
        if not value.isprintable():
            raise RequestError(f"The value of the header {name} holds a control character.")
    if content is None and step.method in ("POST", "PUT", "PATCH"):
        content = b""
    return Request(step.method, url, tuple(headers), content)


def join_url(base_url: str, path: str) -> str:
    """Return an absolute address as it is, any other under the whole of the base, its path included."""
    if path.lower().startswith(("http://", "https://")):
        return path
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}"


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _build_content(step: Step, values: Values, files: Sequence[bytes]) -> tuple[str, bytes | None]:
    if step.has_json:
        return "application/json", json.dumps(values.fill_json(step.json), default=str).encode()
    if step.body is not None:
        return "text/plain; charset=utf-8", values.fill(step.body).encode()
    form = [(values.fill(name), values.fill(value)) for name, value in step.form or ()]
    if step.files:
        boundary = f"preflight-{values.get('run')}-{values.get('user')}"
        return f"multipart/form-data; boundary={boundary}", _encode_multipart(step, form, boundary, values, files)
    if step.form is not None:
        return "application/x-www-form-urlencoded", urlencode(form).encode()
    return "", None


def _encode_multipart(
    step: Step, form: Sequence[tuple[str, str]], boundary: str, values: Values, files: Sequence[bytes]
) -> bytes:
    parts = [(f'form-data; name="{_escape(name)}"', "", value.encode()) for name, value in form]
    for upload, content in zip(step.files, files, strict=True):
        filename = _escape(values.fill(upload.filename))
        disposition = f'form-data; name="{_escape(upload.field)}"; filename="{filename}"'
        parts.append((disposition, upload.content_type, content))
    body = bytearray()
    for disposition, content_type, content in parts:
        lines = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        lines += f"Content-Type: {content_type}\r\n" if content_type else ""
        body += lines.encode() + b"\r\n" + content + b"\r\n"
    return bytes(body + f"--{boundary}--\r\n".encode())


def _escape(text: str) -> str:
    """Escape a name for a Content-Disposition as browsers do."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
