"""Dumps made elsewhere: every kind is taken in and proven like ours; hostile ones do no harm and leave nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from backups import (
    catalogue,
    foreign_files,
    imports,
    pg_binaries,
    probes,
    reaper,
    restore_requests,
    restores,
    store_check,
)
from backups.errors import ErrorCode, JobError, RequestError
from backups.foreign_files import Kind
from backups.models import Backup, State
from readiness.models import Database, Environment
from tests.backups.conftest import SHOP_TABLES, list_databases, list_files, run_prove, run_verify
from tests.backups.store_settings import use_stores
from tests.cluster import CLUSTER
from tests.conftest import Server

Make = Callable[..., bytes]


@pytest.fixture
def make_dump(server: Server, shop: str, tmp_path: Path) -> Make:
    """What somebody elsewhere would send: the shop by pg_dump with these options."""
    client = pg_binaries.find_client(server.connect().info.server_version // 10000)

    def make(*options: str) -> bytes:
        if "--format=directory" not in options:
            done = subprocess.run([client.pg_dump, f"--dbname={shop}", *options], capture_output=True, check=True)
            return done.stdout
        directory = tmp_path / "dump"
        subprocess.run([client.pg_dump, f"--dbname={shop}", *options, f"--file={directory}"], check=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(directory, arcname="backup")
        return buffer.getvalue()

    return make


@pytest.fixture
def environment(db: None, store: Path) -> Environment:
    return Environment.objects.create(name="Shop", slug="shop")


@pytest.fixture(autouse=True)
def nothing_is_left(server: Server, db: None) -> Iterator[None]:
    """Whatever came, no scratch database, no role and no plain file stays."""
    yield
    assert not [name for name in list_databases(server) if name.startswith("preflight_")]
    with server.connect() as other:
        assert not other.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'preflight_import%'").fetchall()
    assert list((Path(django_settings.VAR_DIR) / "tmp").glob("*")) == []


def upload(environment: Environment, data: bytes, name: str = "shop.dump") -> Backup:
    source = {"name": name, "where": "upload", "file": "incoming/0123abcd.zst.age"}
    backup = catalogue.request_import(environment, source, actor_name="test")
    imports.keep_upload(io.BytesIO(data), source["file"])
    taken = imports.take_in(backup.pk)
    assert taken is not None
    return taken


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--format=custom"], Kind.CUSTOM),
        (["--format=tar"], Kind.TAR),
        (["--format=directory"], Kind.DIRECTORY),
        (["--format=directory", "--compress=0"], Kind.DIRECTORY),
        (["--format=plain"], Kind.PLAIN),
        (["--format=plain", "--inserts", "--clean", "--if-exists"], Kind.PLAIN),
    ],
)
def test_every_kind_is_taken_in_and_proven_like_ours(
    environment: Environment, make_dump: Make, store: Path, options: list[str], kind: Kind
) -> None:
    data = make_dump(*options)
    backup = upload(environment, data)
    assert (backup.state, backup.error) == (State.DONE, "")
    assert backup.tables == SHOP_TABLES
    assert set(backup.metadata["checksums"]) == set(SHOP_TABLES)
    origin = backup.metadata["origin"]
    assert (origin["kind"], origin["bytes"]) == (kind, len(data))
    assert origin["sha256"] == hashlib.sha256(data).hexdigest()
    assert run_verify(backup).outcome == "pass"
    proof = run_prove(backup)
    assert (proof.outcome, proof.compared["server"]) == ("pass", "on this machine"), proof.detail
    assert {name.rpartition(".")[2] for name in list_files(store)} == {"age", "json"}
    assert len(list_files(store)) == 2


def test_a_dump_of_the_schema_public_alone_is_taken_in(environment: Environment, make_dump: Make) -> None:
    """pg_dump makes that schema only where it is named, and every new database has it."""
    backup = upload(environment, make_dump("--format=custom", "--schema=public"))
    assert (backup.error, backup.tables) == ("", {"public.customers": 50, "public.orders": 5000})
    assert run_prove(backup).outcome == "pass"


def test_it_takes_a_file_that_lies_in_the_store(environment: Environment, make_dump: Make, store: Path) -> None:
    store.mkdir()
    (store / "from-the-provider.sql.gz").write_bytes(gzip.compress(make_dump("--format=plain")))
    source = {"name": "from-the-provider.sql.gz", "where": "store", "file": "from-the-provider.sql.gz"}
    backup = imports.take_in(catalogue.request_import(environment, source).pk)
    assert backup is not None
    assert (backup.error, backup.tables) == ("", SHOP_TABLES)
    assert (store / "from-the-provider.sql.gz").exists()


def test_it_goes_to_the_default_stores(
    environment: Environment, make_dump: Make, store: Path, settings: Settings
) -> None:
    nas = store.parent / "nas"
    use_stores(settings, f'nas = {{kind = "directory", path = "{nas}"}}')
    settings.BACKUP_DEFAULT_STORES = ["nas"]
    backup = upload(environment, make_dump("--format=custom"))
    assert (backup.state, backup.error, backup.stores) == (State.DONE, "", ["nas"])
    assert [(copy.store, copy.state) for copy in backup.copies.all()] == [("nas", State.DONE)]
    assert (nas / backup.artifact).exists()
    assert list_files(store) == list_files(Path(settings.VAR_DIR) / "spool") == set()
    assert run_verify(backup).outcome == "pass"
    assert run_prove(backup).outcome == "pass"
    backup.delete()
    (rebuilt,) = store_check.rebuild_catalogue("test", "nas").added
    assert rebuilt.is_foreign


def test_what_waits_to_be_taken_in_is_no_orphan(environment: Environment, store: Path) -> None:
    name = imports.name_upload("0123abcd")
    imports.keep_upload(io.BytesIO(b"something"), name)
    assert list_files(store) == {Path(name).name}
    difference = store_check.compare_store()
    assert (difference.orphans, difference.missing) == ((), ())
    assert store_check.rebuild_catalogue("test").added == ()


def test_it_passes_over_owners_and_grants_of_roles_that_are_not_here(
    environment: Environment, make_dump: Make, server: Server
) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS elsewhere")
        other.execute("CREATE ROLE elsewhere")
        other.execute("ALTER TABLE orders OWNER TO elsewhere")
        other.execute("GRANT SELECT ON customers TO elsewhere")
    data = make_dump("--format=plain")
    with server.connect("shop") as other:
        other.execute("REASSIGN OWNED BY elsewhere TO CURRENT_USER")
        other.execute("DROP OWNED BY elsewhere")
        other.execute("DROP ROLE elsewhere")
    backup = upload(environment, data)
    assert (backup.error, backup.tables) == ("", SHOP_TABLES)
    assert "roles that are not here" in backup.metadata["origin"]["notes"][0]


@pytest.mark.parametrize("archive_format", ["custom", "directory", "plain"])
def test_it_makes_the_extensions_that_the_portals_owner_allows(
    environment: Environment, make_dump: Make, server: Server, settings: Settings, archive_format: str
) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE SCHEMA extensions")
        other.execute("CREATE EXTENSION pageinspect SCHEMA extensions")
        other.execute("CREATE EXTENSION citext SCHEMA extensions")
        other.execute("CREATE TABLE people (name extensions.citext)")
    data = make_dump(f"--format={archive_format}")
    refused = upload(environment, data)
    assert (refused.error_code, "pageinspect" in refused.error) == (ErrorCode.BAD_SOURCE, True)
    settings.IMPORT_EXTENSIONS = ["pageinspect"]
    backup = upload(environment, data)
    assert (backup.error, set(backup.tables)) == ("", {*SHOP_TABLES, "public.people"})
    assert run_prove(backup).outcome == "pass"


def test_it_counts_for_no_database(environment: Environment, make_dump: Make) -> None:
    """An old export that was taken in today is no backup of today."""
    backup = upload(environment, make_dump("--format=custom"))
    assert run_prove(backup).outcome == "pass"
    facts = probes.read_backup_facts([environment.pk])[environment.pk]
    assert (facts.newest_proven_at, facts.newest_done_at) == (None, None)
    upload(environment, b"nonsense")
    assert probes.read_backup_facts([environment.pk])[environment.pk].last_failed_at is None


def test_it_is_restored_as_a_role_without_rights_that_owns_all_of_it(
    environment: Environment, make_dump: Make, server: Server
) -> None:
    backup = upload(environment, make_dump("--format=custom"))
    into = Database.objects.create(environment=environment, name="main", dsn=server.dsn("shop"))
    with pytest.raises(RequestError, match="Choose on which"):
        restore_requests.request_restore(backup, "looked_at")
    with pytest.raises(RequestError, match="into a new database only"):
        restore_requests.request_restore(backup, "shop", into=into, mode="replace")
    server.drop_database("looked_at")
    restore = restores.restore(restore_requests.request_restore(backup, "looked_at", into=into).pk)
    assert restore is not None
    owner = f"looked_at_owner_{restore.pk}"
    try:
        assert (restore.state, restore.error) == (State.DONE, "")
        assert owner in restore.compared["notes"][0]
        assert restore.is_swept
        with server.connect("looked_at") as other:
            assert other.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
            query = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'log')"
            assert other.execute(query).fetchall() == [(owner,)]
            query = "SELECT rolsuper, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s"
            assert other.execute(query, [owner]).fetchone() == (False, False, False, False)
    finally:
        server.drop_database("looked_at")
        with server.connect() as other:
            other.execute(f"DROP ROLE IF EXISTS {owner}")


CANARY = "/tmp/preflight-hostile-canary"


@pytest.fixture
def canary() -> Iterator[Path]:
    path = Path(CANARY)
    path.unlink(missing_ok=True)
    yield path
    assert not path.exists()
    path.unlink(missing_ok=True)


# What somebody might send who wants to run programs, read files, or become more than they are.
SCRIPTS = {
    "shell": f"\\! touch {CANARY}\n",
    "shell after sql": f"SELECT 1; \\! touch {CANARY}\n",
    "pipe": f"SELECT 1 \\g |touch {CANARY}\n",
    "copy to program": f"\\copy (SELECT 1) TO PROGRAM 'touch {CANARY}'\n",
    "copy from file": "CREATE TABLE t (a text);\n\\copy t FROM '/etc/passwd'\n",
    "include": "\\i /etc/passwd\n",
    "backticks": f"\\set x `touch {CANARY}`\n",
    "output": f"\\o {CANARY}\nSELECT 1;\n",
    "write": f"SELECT 1 \\w {CANARY}\n",
    "unrestrict with a guess": f"\\unrestrict abc\n\\! touch {CANARY}\n",
    "frame of its own": f"--\n\n\\restrict abc\n\nSELECT 1;\n\\unrestrict abc\n\\! touch {CANARY}\n",
    "frame that ends early": "\\restrict abc\n" + "-- x\n" * 3000 + f"\\unrestrict abc\n\\! touch {CANARY}\n",
    "frame after sql": f"SELECT 1;\n\\restrict abc\n\\unrestrict abc\n\\! touch {CANARY}\n",
    "connect": "\\connect postgres\nCREATE TABLE harm ();\n",
    "server program": f"COPY (SELECT 1) TO PROGRAM 'touch {CANARY}';\n",
    "server program in": f"CREATE TABLE t (a text);\nCOPY t FROM PROGRAM 'touch {CANARY}';\n",
    "server file": "CREATE TABLE t (a text);\nCOPY t FROM '/etc/passwd';\n",
    "server file out": f"COPY (SELECT 1) TO '{CANARY}';\n",
    "read file": "SELECT pg_read_file('/etc/passwd');\n",
    "passwords": "SELECT * FROM pg_authid;\n",
    "superuser": "DO $$ BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', session_user); END $$;\n",
    "new role": "CREATE ROLE intruder SUPERUSER;\n",
    "new database": "CREATE DATABASE harm;\n",
    "other role": "SET ROLE SUPERUSER_NAME;\n",
    "session": "SET SESSION AUTHORIZATION SUPERUSER_NAME;\n",
    "untrusted language": "CREATE EXTENSION plpython3u;\n",
    "foreign server": "CREATE EXTENSION dblink;\n",
    "large object": f"SELECT lo_import('/etc/passwd');\nSELECT lo_export(1, '{CANARY}');\n",
    "system": f"ALTER SYSTEM SET archive_command = 'touch {CANARY}';\n",
    "nothing": "-- nothing at all\n",
    "no sql": "Dear operator,\nplease restore this.\n",
    "other's dialect": "CREATE TABLE `orders` (`id` int) ENGINE=InnoDB;\n",
    "open table": "CREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\nhalf a tab",
    "open quote": "CREATE TABLE t (a text);\nINSERT INTO t VALUES ('half",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_hostile_script_does_nothing(
    environment: Environment, server: Server, store: Path, canary: Path, script: str
) -> None:
    before = list_databases(server)
    text = SCRIPTS[script].replace("SUPERUSER_NAME", CLUSTER.connection().user)
    backup = upload(environment, text.encode())
    assert (backup.state, backup.error_code) == (State.FAILED, ErrorCode.BAD_SOURCE), backup.error
    assert backup.error.startswith("This file is not taken.")
    assert "root:" not in backup.error
    assert list_databases(server) == before
    assert list_files(store) == set()
    with server.connect() as other:
        assert not other.execute("SELECT 1 FROM pg_roles WHERE rolname = 'intruder'").fetchone()


def test_commands_of_psql_in_rows_and_bodies_are_no_commands(environment: Environment, canary: Path) -> None:
    script = (
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n"
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\nSELECT '\n\\! x\n'\n$$;\n"
        "CREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\n\\\\! touch x\n\\\\unrestrict abc\n\\.\n"
        "\n\\unrestrict abc\n\n"
    )
    backup = upload(environment, script.encode(), "shop.sql")
    assert (backup.error, backup.tables) == ("", {"public.t": 2})


@pytest.mark.parametrize(
    "attack",
    [
        "EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);",
        f"EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {CANARY}''';",
        "PERFORM pg_catalog.pg_read_file('postgresql.conf');",
    ],
)
def test_code_in_an_archive_runs_without_rights(
    environment: Environment, make_dump: Make, server: Server, canary: Path, attack: str
) -> None:
    with server.connect("shop") as other:
        other.execute(
            "CREATE FUNCTION act(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN "
            f"IF current_database() <> 'shop' THEN {attack} END IF; RETURN true; END $$"
        )
        other.execute("CREATE TABLE lure (id int CHECK (public.act(id)))")
        other.execute("INSERT INTO lure VALUES (1)")
    backup = upload(environment, make_dump("--format=custom"))
    assert backup.error_code == ErrorCode.BAD_SOURCE, backup.error
    assert "more rights than a dump from elsewhere gets" in backup.error


def make_tar(*members: tuple[str, bytes], link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return buffer.getvalue()


TOC = b"PGDMP\x01\x0e\x00\x04\x08\x05"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "It is empty"),
        (b"\x7fELF\x00\x00", "neither an archive of pg_dump nor SQL"),
        (TOC + b"x" * 100, "give the whole directory"),
        (make_tar(("notes.txt", b"x")), "it has no toc.dat"),
        (make_tar(("toc.dat", b"")), "or an empty one"),
        (make_tar(("toc.dat", TOC), ("../../evil.dat", b"x")), "evil.dat"),
        (make_tar(("toc.dat", TOC), ("sub/evil.sh", b"x")), "evil.sh"),
        (make_tar(("toc.dat", TOC), link="1234.dat"), "1234.dat"),
        (make_tar(("toc.dat", TOC), ("a/toc.dat", TOC)), "toc.dat"),
        (make_tar(("toc.dat", TOC + b"../../keys/age.txt")), "two dots"),
        (make_tar(("toc.dat", TOC), ("blobs.toc", b"1 ../../keys/age.txt\n")), "two dots"),
        (make_tar(("toc.dat", TOC + b"\0" * 50)), "pg_restore failed"),
        (b"PGDMP\x01\x0e\x00\x04\x08\x01" + b"\xff" * 500, "pg_restore failed"),
        (gzip.compress(b"SELECT 1;" * 100)[:-20], "gzip"),
    ],
)
def test_it_refuses_files_that_are_no_dumps(environment: Environment, store: Path, data: bytes, said: str) -> None:
    backup = upload(environment, data)
    assert backup.state == State.FAILED
    assert said in backup.error
    assert list_files(store) == set()


def test_it_reads_no_file_outside_that_an_archive_names(
    environment: Environment, make_dump: Make, tmp_path: Path
) -> None:
    """The rows of a table are read from a file that the table of contents names, so that name is changed here."""
    make_dump("--format=directory", "--compress=0")
    directory = tmp_path / "dump"
    (data,) = [path for path in directory.glob("[0-9]*.dat") if b"customer 1" in path.read_bytes()]
    toc = (directory / "toc.dat").read_bytes()
    name = data.name.encode()
    assert toc.count(name) == 1
    other = b"../" * 20 + b"etc/passwd"
    changed = toc.replace(bytes([len(name)]) + b"\0\0\0" + name, bytes([len(other)]) + b"\0\0\0" + other)
    assert changed != toc
    (directory / "toc.dat").write_bytes(changed)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(directory, arcname="dump")
    assert "two dots" in upload(environment, buffer.getvalue()).error


def test_it_takes_no_more_than_is_allowed(environment: Environment, settings: Settings) -> None:
    settings.IMPORT_MAX_MB = 1
    assert "holds more than 1 MB" in upload(environment, b"-- x\n" * 300_000).error
    assert "holds more than 1 MB" in upload(environment, gzip.compress(b"-- x\n" * 300_000)).error
    directory = make_tar(("toc.dat", TOC), ("1.dat", b"x" * 999_000))
    path = Path(django_settings.VAR_DIR) / "big.tar"
    path.write_bytes(directory)
    with pytest.raises(JobError, match="holds more than"), foreign_files.unpacked(path, 1000):
        pass
    path.unlink()


def test_it_stops_a_script_that_fills_the_disk(environment: Environment, settings: Settings) -> None:
    settings.IMPORT_MAX_MB = 40
    script = (
        b"CREATE TABLE t (a text);\n"
        b"DO $$ BEGIN LOOP INSERT INTO t SELECT repeat(md5(n::text), 100) FROM generate_series(1, 500) n;"
        b" PERFORM pg_sleep(0.02); END LOOP; END $$;\n"
    )
    backup = upload(environment, script)
    assert (backup.error_code, "becomes a database of more than 40 MB" in backup.error) == (ErrorCode.BAD_SOURCE, True)


def test_it_refuses_scripts_where_psql_cannot_be_restricted(
    environment: Environment, make_dump: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = list(pg_binaries.list_clients())
    old = [pg_binaries.ClientBinaries(each.bin_dir, each.major, f"{each.major}.1") for each in clients]
    monkeypatch.setattr(pg_binaries, "list_clients", lambda: iter(each for each in old if each.major < 18))
    backup = upload(environment, b"SELECT 1;")
    assert (backup.error_code, "can be restricted" in backup.error) == (ErrorCode.CLIENT_MISSING, True)


def test_the_reaper_clears_up_after_one_that_was_killed(environment: Environment, server: Server, store: Path) -> None:
    source = {"name": "x", "where": "upload", "file": "incoming/0123abcd.zst.age"}
    claimed = catalogue.claim(Backup, catalogue.request_import(environment, source).pk)
    assert claimed is not None
    imports.keep_upload(io.BytesIO(b"SELECT 1"), source["file"])
    name = "preflight_import_1_0123abcd"
    catalogue.note_scratch(claimed, "proof", name, name)
    with server.connect() as other:
        other.execute(f"CREATE ROLE {name} LOGIN")
        other.execute(f"CREATE DATABASE {name} OWNER {name}")
    Backup.objects.filter(pk=claimed.pk).update(worker={**claimed.worker, "start_time": "1"})
    reaper.reap()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.is_swept) == (State.FAILED, True)
    assert list_files(store) == set()
