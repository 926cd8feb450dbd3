"""Who may come in: nobody signs up, an administrator invites and gives roles; writes users and group memberships."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from portal.invitations import UNSENDING_BACKENDS
from portal.roles import ADMINISTRATOR, ROLE_PERMISSIONS


class PeopleError(Exception):
    """What was asked for is not possible; the message is one sentence."""


class ClosedAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth without sign-up: accounts are made by invitation only."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends nothing where mail is not set up: the console would print a link that sets a password into a log."""
        if settings.EMAIL_BACKEND not in UNSENDING_BACKENDS:
            super().send_mail(template_prefix, email, context)


def list_people() -> QuerySet[User]:
    """Everyone, active first, with their groups."""
    return User.objects.prefetch_related("groups").order_by("-is_active", "username")


def invite(email: str, username: str, role: str) -> User:
    """Makes an account without a password and gives it ``role``. Raises PeopleError when the name or mail is taken."""
    if User.objects.filter(username__iexact=username).exists():
        raise PeopleError(f"There is already an account called {username}.")
    if User.objects.filter(email__iexact=email).exists():
        raise PeopleError(f"There is already an account with the address {email}.")
    with transaction.atomic():
        user = User.objects.create_user(username=username, email=email)
        set_role(user, role)
    return user


def invitation_url(user: User, request: HttpRequest) -> str:
    """A link with which ``user`` chooses a password; it works once and for PASSWORD_RESET_TIMEOUT."""
    path = reverse(
        "account_reset_password_from_key",
        kwargs={"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)},
    )
    return request.build_absolute_uri(path)


def set_role(user: User, role: str) -> None:
    """Makes ``role`` the only one of the four that ``user`` has. Raises PeopleError for an unknown one.

    The last active administrator keeps the role: a portal nobody can administer is lost.
    """
    if role not in ROLE_PERMISSIONS:
        raise PeopleError(f"There is no role {role}.")
    with transaction.atomic():
        if role != ADMINISTRATOR:
            _keep_one_administrator(user)
        user.groups.remove(*Group.objects.filter(name__in=ROLE_PERMISSIONS))
        user.groups.add(Group.objects.get(name=role))
        if role != ADMINISTRATOR and user.is_superuser:
            # The first administrator is one, and no role would hold a superuser back.
            user.is_superuser = user.is_staff = False
            user.save(update_fields=["is_superuser", "is_staff"])


def set_active(user: User, *, is_active: bool) -> None:
    """Lets ``user`` in or keeps them out; what they did stays. Raises PeopleError for the last administrator."""
    with transaction.atomic():
        if not is_active:
            _keep_one_administrator(user)
        user.is_active = is_active
        user.save(update_fields=["is_active"])


def current_role(user: User) -> str:
    """The role of ``user``, empty when there is none. Wants groups prefetched for lists."""
    return next((group.name for group in user.groups.all() if group.name in ROLE_PERMISSIONS), "")


def _keep_one_administrator(leaving: User) -> None:
    administrators = User.objects.select_for_update().filter(is_active=True, groups__name=ADMINISTRATOR)
    remaining: list[Any] = [user for user in administrators if user.pk != leaving.pk]
    if not remaining and any(user.pk == leaving.pk for user in administrators):
        raise PeopleError("This is the last administrator; make someone else an administrator first.")
