"""Fills placeholders of a scenario's texts with variables, captured values and secrets. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from readiness.probes.scenarios.model import PLACEHOLDER


class MissingValueError(LookupError):
    """A placeholder that nothing has filled in: a step before did not get that far."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no value for {name}.")
        self.name = name


class RequestError(ValueError):
    """A step cannot be sent as it is; one sentence."""


@dataclass(slots=True)
class Values:
    """What is known at one moment of one walk; secrets are under "secret.NAME"."""

    known: dict[str, Any] = field(default_factory=dict, repr=False)
    author_names: set[str] = field(default_factory=set)  # written by the author, so taken into URLs as they are

    def get(self, name: str) -> Any:
        if name not in self.known:
            raise MissingValueError(name)
        return self.known[name]

    def fill(self, text: str) -> str:
        """Return `text` with every placeholder filled in. Raises MissingValueError."""
        return PLACEHOLDER.sub(lambda match: show_value(self.get(match[1])), text)

    def fill_url(self, text: str) -> str:
        """As fill, but a value that is only a part of the URL and came from an answer cannot change its shape."""
        whole = PLACEHOLDER.fullmatch(text)
        if whole is not None:
            return show_value(self.get(whole[1]))

        def fill_part(name: str) -> str:
            value = show_value(self.get(name))
            if name in self.author_names:
                return value
            if value in ("", ".", ".."):
                raise RequestError(f"The value of {name} is {value!r} and would make another address of the URL.")
            return quote(value, safe="")

        return PLACEHOLDER.sub(lambda match: fill_part(match[1]), text)

    def fill_json(self, value: Any) -> Any:
        """Fill every text in `value`; a text that is one placeholder becomes the value itself, a number stays one."""
        if isinstance(value, str):
            whole = PLACEHOLDER.fullmatch(value.strip())
            return self.get(whole[1]) if whole is not None else self.fill(value)
        if isinstance(value, Mapping):
            return {self.fill(str(key)): self.fill_json(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill_json(each) for each in value]
        return value


def show_value(value: Any) -> str:
    """Return a value as it stands in a text: JSON's words for true, false and null, JSON for lists and tables."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair, which JSON may carry, cannot be sent
