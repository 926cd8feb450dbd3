"""The portal's own keys: made once, private, kept, and usable by the tools they are for."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from cryptography.fernet import Fernet

from portal import keys


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_makes_each_key_once_and_keeps_it(tmp_path: Path) -> None:
    first = (keys.django_secret(tmp_path), keys.field_encryption_keys(tmp_path), keys.age_recipient(tmp_path))

    assert first == (keys.django_secret(tmp_path), keys.field_encryption_keys(tmp_path), keys.age_recipient(tmp_path))
    assert len(first[0]) >= 50


def test_it_makes_another_key_for_another_portal(tmp_path: Path) -> None:
    assert keys.django_secret(tmp_path / "a") != keys.django_secret(tmp_path / "b")


def test_it_lets_nobody_else_read_files_or_directory(tmp_path: Path) -> None:
    keys.django_secret(tmp_path)
    keys.field_encryption_keys(tmp_path)
    keys.age_identity_path(tmp_path)
    keys.snapshot_signing_key(tmp_path)

    assert mode_of(tmp_path / "keys") == 0o700
    assert {mode_of(path) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_it_narrows_a_mode_that_is_too_open(tmp_path: Path) -> None:
    secret = keys.django_secret(tmp_path)
    path = tmp_path / "keys" / keys.DJANGO_SECRET
    path.chmod(0o644)

    assert keys.django_secret(tmp_path) == secret
    assert mode_of(path) == 0o600


def test_it_gives_racing_processes_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from portal import keys; print(keys.django_secret(Path(sys.argv[1])))"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    answers = {racer.communicate()[0].strip() for racer in racers}

    assert len(answers) == 1
    assert answers == {keys.django_secret(tmp_path)}


def test_it_gets_over_a_process_that_was_killed_while_writing(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / f".{keys.DJANGO_SECRET}.part").write_text("half a k")

    assert "half" not in keys.django_secret(tmp_path)
    assert not list((tmp_path / "keys").glob("*.part"))


def test_it_refuses_an_empty_key_file_in_one_sentence(tmp_path: Path) -> None:
    keys.django_secret(tmp_path)
    (tmp_path / "keys" / keys.DJANGO_SECRET).write_text("")

    with pytest.raises(keys.KeyFileError, match=r"is empty: put the original file back"):
        keys.django_secret(tmp_path)


def test_it_refuses_a_directory_in_place_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "keys" / keys.DJANGO_SECRET).mkdir(parents=True)

    with pytest.raises(keys.KeyFileError, match="not a plain file"):
        keys.django_secret(tmp_path)


def test_it_encrypts_with_the_first_field_key_and_keeps_older_ones(tmp_path: Path) -> None:
    (old,) = keys.field_encryption_keys(tmp_path)
    new = Fernet.generate_key().decode()
    path = tmp_path / "keys" / keys.FIELD_KEYS
    path.write_text(f"# rotated\n{new}\n{old}\n")

    assert keys.field_encryption_keys(tmp_path) == [new, old]


def test_it_names_a_damaged_field_key_without_showing_it(tmp_path: Path) -> None:
    keys.field_encryption_keys(tmp_path)
    (tmp_path / "keys" / keys.FIELD_KEYS).write_text("c2hvcnQ=\n")

    with pytest.raises(keys.KeyFileError, match=r"Key 1 in .* is not a Fernet key") as caught:
        keys.field_encryption_keys(tmp_path)
    assert "c2hvcnQ" not in str(caught.value)


def test_it_refuses_an_identity_file_without_an_identity(tmp_path: Path) -> None:
    keys.age_identity_path(tmp_path).write_text("AGE-SECRET-KEY-1DAMAGED\n")

    with pytest.raises(keys.KeyFileError, match="holds no age identity") as caught:
        keys.age_recipient(tmp_path)
    assert "DAMAGED" not in str(caught.value)


def test_it_writes_the_public_key_beside_the_identity(tmp_path: Path) -> None:
    text = keys.age_identity_path(tmp_path).read_text()

    assert f"# public key: {keys.age_recipient(tmp_path)}\n" in text
    assert text.splitlines()[-1].startswith("AGE-SECRET-KEY-1")


def test_it_makes_an_identity_that_the_age_command_decrypts_with(tmp_path: Path) -> None:
    age = shutil.which("age")
    assert age is not None, "the tests need the age command"
    recipient = pyrage.x25519.Recipient.from_str(keys.age_recipient(tmp_path))
    sealed = pyrage.encrypt(b"a dump", [recipient])

    opened = subprocess.run(
        [age, "--decrypt", "--identity", str(keys.age_identity_path(tmp_path))], input=sealed, capture_output=True
    )

    assert (opened.stdout, opened.returncode) == (b"a dump", 0)


def test_it_reads_an_existing_key_without_making_one(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "postgres_password"

    assert keys.read_existing(path) is None
    assert not path.parent.exists()


def test_it_makes_one_signing_key_and_hands_out_its_public_half(tmp_path: Path) -> None:
    assert keys.existing_snapshot_public_key(tmp_path) is None
    assert not (tmp_path / "keys").exists()
    key = keys.snapshot_signing_key(tmp_path)
    pem = tmp_path / "public.pem"
    public = keys.existing_snapshot_public_key(tmp_path)
    assert public is not None
    pem.write_text(keys.public_key_pem(public))

    keys.read_public_key(pem).verify(keys.snapshot_signing_key(tmp_path).sign(b"x"), b"x")
    assert public.public_bytes_raw() == key.public_key().public_bytes_raw()


def test_it_refuses_a_damaged_signing_key_without_showing_it(tmp_path: Path) -> None:
    keys.snapshot_signing_key(tmp_path)
    (tmp_path / "keys" / keys.SNAPSHOT_KEY).write_text("-----BEGIN PRIVATE KEY-----\nDAMAGED\n")

    with pytest.raises(keys.KeyFileError, match="holds no Ed25519 key") as caught:
        keys.snapshot_signing_key(tmp_path)
    assert "DAMAGED" not in str(caught.value)
