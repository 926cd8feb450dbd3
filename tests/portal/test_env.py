"""Variables are read by type, from a value or a file, and a wrong one is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import Env


def test_it_reads_text_and_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "given")

    assert Env().text("SHOP", "default") == "given"
    assert Env().text("SHOP_NOT_SET", "default") == "default"


@pytest.mark.parametrize(("raw", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)])
def test_it_reads_flags(monkeypatch: pytest.MonkeyPatch, raw: str, value: bool) -> None:
    monkeypatch.setenv("SHOP", raw)

    assert Env().flag("SHOP", default=not value) is value


@pytest.mark.parametrize("raw", ["", "maybe", "2"])
def test_it_refuses_what_is_no_flag(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setenv("SHOP", raw)

    with pytest.raises(ImproperlyConfigured, match=f"SHOP is '{raw}'; give 1 or 0"):
        Env().flag("SHOP", default=True)


def test_it_reads_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", " 12 ")

    assert Env().number("SHOP", 5) == 12
    assert Env().number("SHOP_NOT_SET", 5) == 5


@pytest.mark.parametrize("raw", ["", "-1", "1.5", "many", "9", "²", "1e3"])
def test_it_refuses_what_is_no_such_number(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setenv("SHOP", raw)

    with pytest.raises(ImproperlyConfigured, match="give a whole number of at least 10"):
        Env().number("SHOP", 60, at_least=10)


def test_it_reads_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "a, b ,,c")

    assert Env().names("SHOP") == ["a", "b", "c"]
    assert Env().names("SHOP_NOT_SET") == []


def test_it_reads_lists_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "30, 7 ,1")

    assert Env().numbers("SHOP", "21") == [30, 7, 1]
    assert Env().numbers("SHOP_NOT_SET", "21,14") == [21, 14]


@pytest.mark.parametrize("raw", ["", "7,soon", "7,-1", "0", "²"])
def test_it_refuses_what_is_no_list_of_numbers(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setenv("SHOP", raw)

    with pytest.raises(ImproperlyConfigured, match="give whole numbers of at least 1"):
        Env().numbers("SHOP", "21", at_least=1)


def test_it_reads_a_value_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv("SHOP_FILE", str(tmp_path / "secret"))

    assert Env().text("SHOP", "default") == "from the file"


def test_it_names_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_ELSEWHERE_FILE", "/no/such/file")

    with pytest.raises(ImproperlyConfigured) as caught:
        Env().text("SHOP_ELSEWHERE")

    assert str(caught.value) == "SHOP_ELSEWHERE_FILE names a file that cannot be read: No such file or directory."


def test_it_reads_a_dotenv_file_below_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SHOP_ONE=file\nSHOP_TWO=file\n")
    monkeypatch.setenv("SHOP_ONE", "environment")
    monkeypatch.setenv("SHOP_TWO", "gone")
    monkeypatch.delenv("SHOP_TWO")

    env = Env(tmp_path / ".env")

    assert (env.text("SHOP_ONE"), env.text("SHOP_TWO")) == ("environment", "file")


def test_it_remembers_what_it_was_asked_for() -> None:
    env = Env()
    env.text("SHOP", "computed", shown="made at first use")
    env.number("SHOP_PORT", 8000)
    env.flag("SHOP_ON", default=False)

    assert [(one.name, one.kind, one.default) for one in env.declared.values()] == [
        ("SHOP", "text", "made at first use"),
        ("SHOP_PORT", "number", "8000"),
        ("SHOP_ON", "yes or no", "0"),
    ]
