"""Typed readers of environment variables; reads os.environ, NAME_FILE files and an optional .env file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Variable:
    """One variable the settings read: its name, the word for its type, its default in words."""

    name: str
    kind: str
    default: str


class Env:
    """Reads variables and remembers which ones were asked for, so that the documentation can be compared with them.

    Every variable NAME may be given as NAME_FILE, the path of a file that holds the value.
    """

    def __init__(self, dotenv: Path | None = None) -> None:
        self.declared: dict[str, Variable] = {}
        self._reader = environ.FileAwareEnv()
        if dotenv is not None and dotenv.is_file():
            environ.Env.read_env(str(dotenv))

    def text(self, name: str, default: str = "", *, shown: str | None = None) -> str:
        """The value as text; ``shown`` words the default in the documentation where it is computed."""
        return str(self._read(name, "text", default, shown))

    def flag(self, name: str, default: bool, *, shown: str | None = None) -> bool:
        """True for 1, true, yes, on; False for 0, false, no, off; anything else is refused."""
        raw = str(self._read(name, "yes or no", "1" if default else "0", shown)).strip().lower()
        if raw in {"1", "true", "yes", "on"}:
            return True
        if raw in {"0", "false", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name} is {raw!r}; give 1 or 0.")

    def number(self, name: str, default: int, *, at_least: int = 0, at_most: int | None = None) -> int:
        """A whole number, refused below ``at_least`` and above ``at_most``."""
        raw = str(self._read(name, "number", str(default), None)).strip()
        wanted = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
        if not raw.isdecimal() or int(raw) < at_least or (at_most is not None and int(raw) > at_most):
            raise ImproperlyConfigured(f"{name} is {raw!r}; give a whole number of {wanted}.")
        return int(raw)

    def names(self, name: str, default: str = "", *, shown: str | None = None) -> list[str]:
        """A list separated by commas."""
        return [part.strip() for part in str(self._read(name, "list", default, shown)).split(",") if part.strip()]

    def numbers(self, name: str, default: str, *, at_least: int = 0) -> list[int]:
        """A list of whole numbers separated by commas, at least one, each refused below ``at_least``."""
        parts = self.names(name, default)
        if not parts or any(not part.isascii() or not part.isdecimal() or int(part) < at_least for part in parts):
            raise ImproperlyConfigured(f"{name} is {','.join(parts)!r}; give whole numbers of at least {at_least}.")
        return [int(part) for part in parts]

    def _read(self, name: str, kind: str, default: str, shown: str | None) -> Any:
        self.declared[name] = Variable(name, kind, default if shown is None else shown)
        try:
            value = self._reader.str(name, default=default)
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names a file that cannot be read: {error.strerror}.") from None
        return value.strip() if f"{name}_FILE" in self._reader.ENVIRON else value
