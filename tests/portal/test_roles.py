"""The four groups hold exactly what the code says, after every migration."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from portal.roles import ADMINISTRATOR, OPERATOR, ROLE_PERMISSIONS, ROLE_SUMMARIES, STAKEHOLDER, TEAM_LEAD, sync_roles

pytestmark = pytest.mark.django_db


def list_permissions(role: str) -> set[str]:
    permissions = Group.objects.get(name=role).permissions.select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions}


@pytest.mark.parametrize("role", list(ROLE_PERMISSIONS))
def test_it_finds_every_permission_that_it_names(role: str) -> None:
    assert list_permissions(role) == set(ROLE_PERMISSIONS[role])


def test_it_takes_back_what_somebody_added_and_leaves_other_groups_alone() -> None:
    extra = Permission.objects.get(codename="delete_environment")
    Group.objects.get(name=STAKEHOLDER).permissions.add(extra)
    Group.objects.create(name="Auditors").permissions.add(extra)

    sync_roles()

    assert list_permissions(STAKEHOLDER) == {"readiness.view_environment", "readiness.view_trackerissue"}
    assert list_permissions("Auditors") == {"readiness.delete_environment"}


def test_it_keeps_ticking_and_operating_apart() -> None:
    assert "readiness.tick_item" not in list_permissions(OPERATOR)
    assert not {"backups.take_backup", "readiness.change_environment"} & list_permissions(TEAM_LEAD)
    assert list_permissions(ADMINISTRATOR) >= list_permissions(OPERATOR) | list_permissions(TEAM_LEAD)


def test_it_sums_up_every_role() -> None:
    assert set(ROLE_SUMMARIES) == set(ROLE_PERMISSIONS)
