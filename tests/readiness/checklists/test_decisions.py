"""Meetings: who may sign, what a signature is worth, what may be decided, and what is sealed for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from portal import audit, keys
from portal.models import WorkerPulse
from readiness.checklists import decisions
from readiness.checklists.assessment import assess
from readiness.checklists.chain import check_environment, open_row
from readiness.checklists.decisions import DecisionError, RoleStanding
from readiness.checklists.snapshots import SnapshotError
from readiness.checklists.template_values import Template
from readiness.models import DecisionSnapshot, Environment, ItemApproval, ItemState, Meeting, RequiredRole, Signature
from tests.readiness.small_template import MUST, OTHER_MUST, SHOULD, settle

pytestmark = pytest.mark.usefixtures("small_template")


@pytest.fixture
def product(shop: Environment, lea: User) -> RequiredRole:
    return decisions.add_role(shop, "Product owner", person=lea, group=None)


@pytest.fixture
def operations(shop: Environment) -> RequiredRole:
    return decisions.add_role(shop, "Operations", person=None, group=Group.objects.get(name="Operator"))


@pytest.fixture
def meeting(shop: Environment, ada: User) -> Meeting:
    return open_one(shop, ada)


def open_one(environment: Environment, by: User) -> Meeting:
    return decisions.open_meeting(environment, planned_for=None, agenda="", by=by, now=timezone.now())


def sign(meeting: Meeting, role: RequiredRole, by: User) -> Signature:
    return decisions.sign(meeting, role, by=by, now=timezone.now())


def freeze(meeting: Meeting, outcome: str, by: User, note: str = "") -> DecisionSnapshot:
    return decisions.freeze(meeting, outcome=outcome, note=note, by=by, now=timezone.now())


def list_roles(meeting: Meeting) -> list[RoleStanding]:
    assessment = assess([meeting.environment], timezone.now())[meeting.environment_id]
    return decisions.list_roles(meeting.environment, meeting, assessment)


def public_key(settings: Any) -> Any:
    return keys.snapshot_signing_key(settings.VAR_DIR).public_key()


def test_it_decides_go_when_all_is_done_and_signed(
    shop: Environment,
    meeting: Meeting,
    product: RequiredRole,
    operations: RequiredRole,
    lea: User,
    otto: User,
    ada: User,
    settings: Any,
) -> None:
    settle(shop, MUST, OTHER_MUST, SHOULD)
    sign(meeting, product, lea)
    sign(meeting, operations, otto)

    row = freeze(meeting, "GO", ada, "All well.")

    document = open_row(row, public_key(settings)).document
    assert document["decision"]["outcome"] == "GO"
    assert document["decision"]["note"] == "All well."
    assert document["gate"]["verdict"] == "GO"
    assert [item["state"] for item in document["items"]] == ["verified"] * 3
    assert [(one["role"], one["person"]) for one in document["signatures"]] == [
        ("Product owner", "lea"),
        ("Operations", "otto"),
    ]
    meeting.refresh_from_db()
    assert (meeting.outcome, meeting.snapshot, meeting.decided_by_name) == ("GO", row, "ada")


@pytest.mark.parametrize(
    ("done", "outcome", "sentence"),
    [
        ((), "GO", "The verdict is NO-GO: a meeting can be stricter"),
        ((), "CONDITIONAL", "The verdict is NO-GO: a meeting can be stricter"),
        ((MUST, OTHER_MUST), "GO", "The verdict is CONDITIONAL: a meeting can be stricter"),
        ((MUST, OTHER_MUST), "CONDITIONAL", "Not signed yet: Product owner, Operations."),
        ((MUST, OTHER_MUST, SHOULD), "GO", "Not signed yet: Product owner, Operations."),
        ((), "LATER", "Choose one of the decisions."),
    ],
)
def test_it_is_never_more_lenient_than_the_verdict_and_the_signatures(
    shop: Environment,
    meeting: Meeting,
    product: RequiredRole,
    operations: RequiredRole,
    ada: User,
    done: tuple[str, ...],
    outcome: str,
    sentence: str,
) -> None:
    settle(shop, *done)

    with pytest.raises(DecisionError, match=sentence):
        freeze(meeting, outcome, ada)

    meeting.refresh_from_db()
    assert meeting.frozen_at is None
    assert not DecisionSnapshot.objects.exists()


@pytest.mark.parametrize("outcome", ["NO-GO", "postponed"])
def test_it_may_always_say_no_or_later(
    shop: Environment, meeting: Meeting, product: RequiredRole, ada: User, outcome: str
) -> None:
    settle(shop, MUST, OTHER_MUST, SHOULD)

    assert freeze(meeting, outcome, ada).decision == outcome


def test_it_does_not_say_go_while_workers_are_silent(
    shop: Environment, meeting: Meeting, product: RequiredRole, lea: User, ada: User
) -> None:
    settle(shop, MUST, OTHER_MUST, SHOULD)
    sign(meeting, product, lea)
    WorkerPulse.objects.all().delete()

    with pytest.raises(DecisionError, match="The verdict is NO-GO"):
        freeze(meeting, "GO", ada)
    assert freeze(meeting, "postponed", ada).verdict == "NO-GO"


def test_it_seals_the_evidence_that_people_gave(
    shop: Environment, meeting: Meeting, lea: User, ada: User, settings: Any
) -> None:
    now = timezone.now()
    state = ItemState.objects.get(environment=shop, key=MUST)
    state.state, state.submitter_name, state.submitted_at = "verified", "lea", now
    state.evidence_url, state.evidence_note = "https://wiki.example.org/backups", "Nightly."
    state.save()
    ItemApproval.objects.create(item=state, person=ada, person_name="ada", at=now)

    document = open_row(freeze(meeting, "NO-GO", ada), public_key(settings)).document

    submissions = {item["item"]: item["submission"] for item in document["items"]}
    assert submissions[MUST]["url"] == "https://wiki.example.org/backups"
    assert submissions[MUST]["note"] == "Nightly."
    assert (submissions[MUST]["submitted_by"], submissions[MUST]["approved_by"]) == ("lea", ["ada"])
    assert submissions[OTHER_MUST] is None


def test_it_asks_for_roles_before_it_says_go(shop: Environment, meeting: Meeting, ada: User) -> None:
    settle(shop, MUST, OTHER_MUST, SHOULD)

    with pytest.raises(DecisionError, match="Nobody has to sign yet"):
        freeze(meeting, "GO", ada)


def test_it_lets_only_the_holder_of_a_role_sign(
    meeting: Meeting, product: RequiredRole, operations: RequiredRole, lea: User, otto: User, ada: User
) -> None:
    for role, person, holder in (
        (product, otto, "lea"),
        (operations, lea, "anybody of Operator"),
        (product, ada, "lea"),
    ):
        with pytest.raises(DecisionError, match=f"cannot sign as {role.name}: that is for {holder}"):
            sign(meeting, role, person)
    assert not Signature.objects.exists()


def test_it_wants_another_person_for_each_role(shop: Environment, meeting: Meeting, otto: User, lea: User) -> None:
    operators = Group.objects.get(name="Operator")
    first = decisions.add_role(shop, "Operations", person=None, group=operators)
    second = decisions.add_role(shop, "Security", person=None, group=operators)
    sign(meeting, first, otto)

    with pytest.raises(DecisionError, match="otto signed as Operations already"):
        sign(meeting, second, otto)
    decisions.add_role(shop, "Product owner", person=lea, group=None)
    with pytest.raises(DecisionError, match="lea signs as Product owner already"):
        decisions.add_role(shop, "Design", person=lea, group=None)
    with pytest.raises(DecisionError, match="already a role Security"):
        decisions.add_role(shop, "security", person=None, group=operators)


def test_it_lets_people_withdraw_until_it_is_frozen(
    meeting: Meeting, product: RequiredRole, lea: User, otto: User, ada: User
) -> None:
    sign(meeting, product, lea)
    with pytest.raises(DecisionError, match="otto has not signed"):
        decisions.withdraw(meeting, product.name, by=otto, now=timezone.now())
    decisions.withdraw(meeting, product.name, by=lea, now=timezone.now())
    assert not list_roles(meeting)[0].is_signed
    sign(meeting, product, lea)
    freeze(meeting, "NO-GO", ada)

    for act in (
        lambda: decisions.withdraw(meeting, product.name, by=lea, now=timezone.now()),
        lambda: sign(meeting, product, lea),
        lambda: freeze(meeting, "GO", ada),
        lambda: decisions.change_agenda(meeting, planned_for=None, agenda="x"),
    ):
        with pytest.raises(DecisionError, match="This meeting is frozen"):
            act()
    assert Signature.objects.filter(withdrawn_at__isnull=True).count() == 1


def test_it_asks_to_sign_again_when_something_came_open_since(
    shop: Environment, meeting: Meeting, product: RequiredRole, lea: User, ada: User
) -> None:
    settle(shop, MUST, OTHER_MUST, SHOULD)
    sign(meeting, product, lea)
    settle(shop, SHOULD, is_done=False)

    assert list_roles(meeting)[0].objection == "Signed when the verdict was GO: sign again."
    with pytest.raises(DecisionError, match="Not signed yet: Product owner"):
        freeze(meeting, "CONDITIONAL", ada)
    sign(meeting, product, lea)
    assert freeze(meeting, "CONDITIONAL", ada).verdict == "CONDITIONAL"


def test_it_counts_a_signature_when_things_only_got_better(
    shop: Environment, meeting: Meeting, product: RequiredRole, lea: User
) -> None:
    settle(shop, MUST)
    sign(meeting, product, lea)
    settle(shop, OTHER_MUST)
    assert list_roles(meeting)[0].is_signed
    settle(shop, MUST, is_done=False)
    settle(shop, OTHER_MUST, is_done=False)
    assert list_roles(meeting)[0].objection == "1 item has come open since: sign again."


def test_it_does_not_count_a_signature_of_somebody_who_left(
    meeting: Meeting, operations: RequiredRole, otto: User
) -> None:
    sign(meeting, operations, otto)
    otto.groups.clear()

    assert list_roles(meeting)[0].objection == "otto does not hold this role any more."


def test_it_asks_for_no_less_while_a_meeting_is_open(meeting: Meeting, product: RequiredRole, ada: User) -> None:
    with pytest.raises(
        DecisionError, match="A meeting is open: postpone it, or decide, before Product owner is removed"
    ):
        decisions.remove_role(product)
    freeze(meeting, "postponed", ada)

    decisions.remove_role(product)

    assert not RequiredRole.objects.exists()


def test_it_opens_one_meeting_at_a_time(shop: Environment, meeting: Meeting, ada: User) -> None:
    with pytest.raises(DecisionError, match="A meeting is open already"):
        open_one(shop, ada)
    freeze(meeting, "postponed", ada)
    assert open_one(shop, ada).pk != meeting.pk


def test_it_opens_no_meeting_for_a_retired_environment(shop: Environment, ada: User) -> None:
    Environment.objects.filter(pk=shop.pk).update(retired_at=timezone.now())
    shop.refresh_from_db()

    with pytest.raises(DecisionError, match="Shop is retired"):
        open_one(shop, ada)


def test_it_chains_the_snapshots_of_an_environment(shop: Environment, ada: User, settings: Any) -> None:
    rows = [freeze(open_one(shop, ada), "NO-GO", ada) for _ in range(3)]

    assert [row.number for row in rows] == [1, 2, 3]
    documents = [open_row(row, public_key(settings)).document for row in rows]
    assert [document["previous"] for document in documents] == [None, rows[0].hash, rows[1].hash]
    assert check_environment("shop", public_key(settings)) == 3
    other = Environment.objects.create(name="Other", slug="other")
    assert freeze(open_one(other, ada), "NO-GO", ada).number == 1


@pytest.mark.parametrize("statement", ["UPDATE {} SET decision = 'GO'", "DELETE FROM {}", "UPDATE {} SET text = text"])
def test_the_database_refuses_to_change_a_snapshot(meeting: Meeting, ada: User, statement: str) -> None:
    freeze(meeting, "NO-GO", ada)

    with pytest.raises(DatabaseError, match="is sealed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format("readiness_decisionsnapshot"))

    assert DecisionSnapshot.objects.get().decision == "NO-GO"


def test_it_sees_what_somebody_changed_behind_the_databases_back(
    meeting: Meeting, shop: Environment, ada: User, settings: Any
) -> None:
    freeze(meeting, "NO-GO", ada)
    freeze(open_one(shop, ada), "NO-GO", ada)
    row = DecisionSnapshot.objects.get(number=1)
    changes = {
        "text = replace(text, 'NO-GO', 'GO')": "Snapshot 1 is not what was sealed",
        "decision = 'GO'": "Snapshot 1 is listed as something else",
        "number = 3": "Snapshot 3 is listed as something else",
    }
    for change, sentence in changes.items():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(f"UPDATE readiness_decisionsnapshot SET {change} WHERE id = {row.pk}")
            with pytest.raises(SnapshotError, match=sentence):
                check_environment("shop", public_key(settings))
            transaction.set_rollback(True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"DELETE FROM readiness_decisionsnapshot WHERE id = {row.pk}")
        with pytest.raises(SnapshotError, match="snapshot 1 is missing"):
            check_environment("shop", public_key(settings))
        transaction.set_rollback(True)
    assert check_environment("shop", public_key(settings)) == 2


def test_a_chain_survives_a_new_name_of_its_environment(
    meeting: Meeting, shop: Environment, ada: User, settings: Any
) -> None:
    freeze(meeting, "NO-GO", ada)
    shop.slug = "boutique"
    shop.save()
    freeze(open_one(shop, ada), "NO-GO", ada)
    # Somebody else may be called so now.
    freeze(open_one(Environment.objects.create(name="New", slug="shop"), ada), "NO-GO", ada)

    assert check_environment("boutique", public_key(settings)) == 2
    assert check_environment("shop", public_key(settings)) == 3


def cut_off(row: DecisionSnapshot, *statements: str) -> None:
    """Takes a snapshot away as whoever owns the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("DELETE FROM readiness_decisionsnapshot WHERE id = %s", [row.pk])


def test_it_sees_that_the_end_of_a_chain_was_cut_off(
    meeting: Meeting, shop: Environment, ada: User, settings: Any
) -> None:
    freeze(meeting, "NO-GO", ada)
    last = freeze(open_one(shop, ada), "NO-GO", ada)
    kept = open_row(last, public_key(settings))
    audit.record("decided on", actor=ada, environment=shop, detail={"hash": last.hash})
    assert check_environment("shop", public_key(settings), kept) == 2
    forget = f"DELETE FROM readiness_meeting WHERE snapshot_id = {last.pk}"
    cases = [
        (["UPDATE readiness_meeting SET snapshot_id = NULL WHERE snapshot_id IS NOT NULL"], None, "of the meeting of"),
        ([forget], None, "that the audit trail names"),
        ([forget, "DELETE FROM portal_auditevent"], kept, "does not hold snapshot 2 of the file"),
    ]
    for statements, file, sentence in cases:
        with transaction.atomic():
            cut_off(last, *statements)
            with pytest.raises(SnapshotError, match=sentence):
                check_environment("shop", public_key(settings), file)
            transaction.set_rollback(True)


def test_it_sees_the_chain_of_another_environment_in_the_place_of_its_own(
    meeting: Meeting, shop: Environment, ada: User, settings: Any
) -> None:
    mine = freeze(meeting, "NO-GO", ada)
    other = freeze(open_one(Environment.objects.create(name="Other", slug="other"), ada), "NO-GO", ada)
    cut_off(mine, "DELETE FROM readiness_meeting WHERE snapshot_id = " + str(mine.pk))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readiness_decisionsnapshot SET environment_id = %s WHERE id = %s", [shop.pk, other.pk])

    with pytest.raises(SnapshotError, match="another environment’s meeting"):
        check_environment("shop", public_key(settings))


def test_a_snapshot_survives_its_environment(meeting: Meeting, shop: Environment, ada: User, settings: Any) -> None:
    freeze(meeting, "NO-GO", ada)
    with transaction.atomic():
        shop.delete()

    assert not Meeting.objects.exists()
    assert check_environment("shop", public_key(settings)) == 1


def test_it_goes_live_only_after_a_decision_that_lets_it(
    shop: Environment, meeting: Meeting, product: RequiredRole, lea: User, ada: User
) -> None:
    now = timezone.now()
    settle(shop, MUST, OTHER_MUST, SHOULD)
    with pytest.raises(DecisionError, match="The last decision did not let it go live"):
        decisions.go_live(shop, now, now)
    sign(meeting, product, lea)
    freeze(meeting, "GO", ada)
    now = timezone.now()
    with pytest.raises(DecisionError, match="in the future"):
        decisions.go_live(shop, now + timedelta(hours=1), now)
    with pytest.raises(DecisionError, match="before the decision"):
        decisions.go_live(shop, now - timedelta(days=1), now)

    decisions.go_live(shop, now, now)

    shop.refresh_from_db()
    assert shop.live_since == now
    decisions.take_back_live(shop)
    freeze(open_one(shop, ada), "NO-GO", ada)
    with pytest.raises(DecisionError, match="The last decision did not"):
        decisions.go_live(shop, timezone.now(), timezone.now())


def test_it_names_a_key_that_cannot_be_used(
    meeting: Meeting, ada: User, settings: Any, tmp_path: Any, small_template: Template
) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / keys.SNAPSHOT_KEY).write_text("no key")

    with pytest.raises(DecisionError, match="holds no Ed25519 key"):
        freeze(meeting, "NO-GO", ada)

    meeting.refresh_from_db()
    assert meeting.frozen_at is None


@pytest.mark.django_db(transaction=True)
def test_it_freezes_once_when_two_press_the_button_at_once(
    shop: Environment, meeting: Meeting, ada: User, lea: User, settings: Any
) -> None:
    start = threading.Barrier(4)

    def press(person: User) -> str:
        try:
            start.wait()
            return freeze(Meeting.objects.get(pk=meeting.pk), "NO-GO", person).decision
        except DecisionError as error:
            return str(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(press, [ada, lea, ada, lea]))

    assert answers == ["NO-GO", *["This meeting is frozen: open another one."] * 3]
    assert DecisionSnapshot.objects.count() == 1
    assert check_environment("shop", public_key(settings)) == 1
