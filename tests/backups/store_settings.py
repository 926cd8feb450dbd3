"""Configures further stores for a test, as BACKUP_STORES would."""

from __future__ import annotations

from pathlib import Path

import boto3
from pytest_django.fixtures import Settings

from backups.store_config import read_stores
from tests.servers.object_stores import ObjectServer

BUCKET = "preflight"


def use_stores(settings: Settings, text: str) -> None:
    """From now on the settings know these stores, beside the test's own local one."""
    configs = read_stores(text, Path(settings.BACKUP_STORE))
    settings.BACKUP_STORE_CONFIGS = configs
    settings.STORAGES = {**settings.STORAGES, **{each.alias: each.as_storage() for each in configs.values()}}


def s3_text(server: ObjectServer, name: str = "offsite", **more: str | int) -> str:
    """A line for BACKUP_STORES; the keys are in the environment as S3_KEY and S3_SECRET."""
    options = "".join(f", {key} = {value!r}".replace("'", '"') for key, value in more.items())
    return (
        f'{name} = {{kind = "s3", bucket = "{BUCKET}", prefix = "backups", endpoint = "{server.endpoint}", '
        f'region = "us-east-1", access_key = "env:S3_KEY", secret_key = "env:S3_SECRET"{options}}}\n'
    )


def s3_client(server: ObjectServer) -> object:
    """A client of the test's own, to look behind the product's back."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
