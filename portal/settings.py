"""Django's settings; reads environment variables (docs/reference/configuration.md) and the key files under var/keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from backups.store_config import StoreConfigError, read_stores
from portal import keys
from portal.embedded_postgres import Cluster
from portal.env import Env
from readiness.probes.browser_presence import has_browser

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env(BASE_DIR / ".env")

VAR_DIR = Path(env.text("PORTAL_VAR", str(BASE_DIR / "var"), shown="`var/` in the project"))
DATABASE_URL = env.text("DATABASE_URL", shown="the private cluster")
# Without a database of someone else's the portal can only be on its own machine, so that is what local means.
LOCAL_MODE = env.flag("LOCAL_MODE", not DATABASE_URL, shown="1 without `DATABASE_URL`, else 0")

DEBUG = False
SECRET_KEY = env.text("SECRET_KEY", shown="`var/keys/`, made at first use") or keys.django_secret(VAR_DIR)
FIELD_ENCRYPTION_KEYS = env.names(
    "FIELD_ENCRYPTION_KEYS", shown="`var/keys/`, made at first use"
) or keys.field_encryption_keys(VAR_DIR)

ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if LOCAL_MODE else "", shown="loopback names")
BIND = env.text("BIND", "127.0.0.1" if LOCAL_MODE else "0.0.0.0", shown="127.0.0.1")  # noqa: S104  behind a proxy
PORT = env.number("PORT", 8000, at_least=1, at_most=65_535)
SITE_URL = env.text("SITE_URL", f"http://{BIND}:{PORT}" if LOCAL_MODE else "", shown="http://BIND:PORT").rstrip("/")
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL.startswith("https://") else []

INSTALLED_APPS = [
    "portal.apps.PreflightAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_htmx",
    "django_q",
    "csp",
    "allauth",
    "allauth.account",
    "readiness",
    "backups",
    "portal",
]

MIDDLEWARE = [
    "portal.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.htmx_caching.vary_on_htmx",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.site_chrome",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    """The portal's own database: DATABASE_URL, else the private cluster, which need not run yet."""
    if DATABASE_URL:
        settings: dict[str, Any] = dict(environ.Env.db_url_config(DATABASE_URL))
    else:
        cluster = Cluster.locate(VAR_DIR).connection()
        settings = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": cluster.host,
            "PORT": str(cluster.port),
            "USER": cluster.user,
            "PASSWORD": cluster.password,
            "NAME": cluster.dbname,
        }
    # Persistent connections, never Django's pool: a pool in processes that fork breaks django-q2.
    options = {"connect_timeout": 5, "application_name": "preflight", **settings.get("OPTIONS", {})}
    return {**settings, "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "portal_cache"},
    # django-q2 writes its own statistics twice a second; they are nobody's business but the process's.
    "jobs": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

# Sign-in
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTH_PASSWORD_VALIDATORS[1]["OPTIONS"] = {"min_length": 12}  # type: ignore[assignment]
ACCOUNT_ADAPTER = "portal.people.ClosedAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"

# Pages
LANGUAGE_CODE = "en"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(VAR_DIR / "static"), shown="`var/static`"))
STATICFILES_DIRS = [BASE_DIR / "static"]
BACKUP_STORE = Path(env.text("BACKUP_STORE", str(VAR_DIR / "backups"), shown="`var/backups`"))
try:
    BACKUP_STORE_CONFIGS = read_stores(env.text("BACKUP_STORES", shown="none but the directory"), BACKUP_STORE)
except StoreConfigError as error:
    raise ImproperlyConfigured(str(error)) from None
BACKUP_DEFAULT_STORES = env.names("BACKUP_DEFAULT_STORES", "local")
if not BACKUP_DEFAULT_STORES:
    raise ImproperlyConfigured("BACKUP_DEFAULT_STORES is empty; give at least one store, such as local.")
if unknown := sorted(set(BACKUP_DEFAULT_STORES) - BACKUP_STORE_CONFIGS.keys()):
    raise ImproperlyConfigured(f"BACKUP_DEFAULT_STORES names {unknown[0]}, which BACKUP_STORES does not have.")
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": VAR_DIR / "files",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    **{each.alias: each.as_storage() for each in BACKUP_STORE_CONFIGS.values()},
}

# Security: nothing inline, nothing from elsewhere, on every page, the admin included.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not LOCAL_MODE
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
SECURE_SSL_REDIRECT = not LOCAL_MODE
SECURE_HSTS_SECONDS = 0 if LOCAL_MODE else env.number("HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL_MODE
if env.flag("TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Jobs: probes and ticks run on `default`, dumps and restores on `long`.
DEFAULT_TIMEOUT_SECONDS = 120
LONG_TIMEOUT_SECONDS = env.number("LONG_JOB_TIMEOUT_SECONDS", 6 * 60 * 60, at_least=60)
Q_CLUSTER: dict[str, Any] = {
    "name": "default",
    "orm": "default",
    "cache": "jobs",
    "workers": env.number("PROBE_WORKERS", 2, at_least=1),
    "queue_limit": 4,
    "timeout": DEFAULT_TIMEOUT_SECONDS,
    "retry": DEFAULT_TIMEOUT_SECONDS + 60,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 500,
    "recycle": 500,
    "max_rss": 300_000,
    "poll": 0.5,
    "log_level": "WARNING",
    "label": "Jobs",
    "ALT_CLUSTERS": {
        "long": {
            "workers": env.number("LONG_WORKERS", 2, at_least=1),
            "queue_limit": 1,
            "timeout": LONG_TIMEOUT_SECONDS,
            "retry": LONG_TIMEOUT_SECONDS + 300,
            "max_attempts": 1,
            "ack_failures": True,
            "recycle": 50,
        },
    },
}

# Probes: kind -> dotted path, as MIDDLEWARE is; facts about backups come in the same way, so that readiness
# need not know who takes them.
READINESS_PROBES = {
    "http": "readiness.probes.http.HttpProbe",
    "tls": "readiness.probes.tls.TlsProbe",
    "headers": "readiness.probes.headers.HeadersProbe",
    "postgres": "readiness.probes.postgres.PostgresProbe",
    "dns": "readiness.probes.dns.DnsProbe",
    "scenario": "readiness.probes.scenario.ScenarioProbe",
    "browser": "readiness.probes.browser.BrowserProbe",
}
# What every environment must have good results of before it goes live; the others weigh through the checklist.
REQUIRED_PROBES = ("http", "tls", "headers", "postgres")
READINESS_BACKUP_FACTS = "backups.probes.read_backup_facts"
READINESS_TRACKERS = {
    "sentry": "readiness.trackers.sentry.SentryAdapter",
    "glitchtip": "readiness.trackers.glitchtip.GlitchTipAdapter",
    "bugsink": "readiness.trackers.bugsink.BugsinkAdapter",
}
TRACKER_QUICK_SYNC_SECONDS = env.number("TRACKER_QUICK_SYNC_SECONDS", 30, at_least=10)
TRACKER_SYNC_SECONDS = env.number("TRACKER_SYNC_SECONDS", 300, at_least=60)
DEAD_MANS_SWITCH_URL = env.text("DEAD_MANS_SWITCH_URL", shown="none")
PROBE_INTERVAL_SECONDS = env.number("PROBE_INTERVAL_SECONDS", 60, at_least=10)
# Kinds that need not be asked every minute, or that cost their targets something.
PROBE_INTERVALS = {"dns": 300, "scenario": 86_400, "browser": 86_400}
PROBE_TIMEOUT_SECONDS = env.number("PROBE_TIMEOUT_SECONDS", 15, at_least=1)
PROBE_CONCURRENCY = env.number("PROBE_CONCURRENCY", 16, at_least=1)
PROBE_ALLOW_LOOPBACK = env.flag("PROBE_ALLOW_LOOPBACK", LOCAL_MODE, shown="1 in local mode, else 0")
PROBE_ALLOW_PRIVATE = env.flag("PROBE_ALLOW_PRIVATE", default=True)
PROBE_NAMESERVERS = env.names("PROBE_NAMESERVERS", shown="the machine's own")
BROWSER_PROBE = env.flag("BROWSER_PROBE", has_browser(), shown="1 where Playwright and Chromium are installed")
PROBE_RUNS_KEPT_DAYS = env.number("PROBE_RUNS_KEPT_DAYS", 14, at_least=1)
PROVEN_BACKUP_MAX_AGE_DAYS = env.number("PROVEN_BACKUP_MAX_AGE_DAYS", 7, at_least=1)

# Backups
AGE_RECIPIENTS = env.names("AGE_RECIPIENTS", shown="the key in `var/keys/`")
AGE_IDENTITY_FILE = env.text("AGE_IDENTITY_PATH", shown="`var/keys/age.txt`")
BACKUP_ZSTD_LEVEL = env.number("BACKUP_ZSTD_LEVEL", 3, at_least=1, at_most=22)
BACKUP_LEASE_SECONDS = env.number("BACKUP_LEASE_SECONDS", 30, at_least=10)
# One handler, so that nothing that somebody uploads lies readable in /tmp.
FILE_UPLOAD_HANDLERS = ["backups.uploads.PrivateUploadHandler"]
CHECKSUM_TABLES_UNDER_MB = env.number("CHECKSUM_TABLES_UNDER_MB", 16)
PROVE_EACH_UNDER_MB = env.number("PROVE_EACH_UNDER_MB", 5000)
IMPORT_EXTENSIONS = env.names("IMPORT_EXTENSIONS", "pg_stat_statements")
IMPORT_MAX_MB = env.number("IMPORT_MAX_MB", 10_000, at_least=1)
RESTORE_JOBS = env.number("RESTORE_JOBS", 2, at_least=1, at_most=32)
RESTORE_JOBS_FROM_MB = env.number("RESTORE_JOBS_FROM_MB", 50)
RESTORE_NEEDS_APPROVAL = env.flag("RESTORE_NEEDS_APPROVAL", True)
RESTORE_KEEP_OLD_DAYS = env.number("RESTORE_KEEP_OLD_DAYS", 7, at_least=1)
PROOF_DATABASE_URL = env.text("PROOF_DATABASE_URL", shown="the portal's own database server")
PG_CLIENT_BIN = env.text("PORTAL_PG_BIN", shown="searched")

# Mail
EMAIL_CONFIG = environ.Env.email_url_config(env.text("EMAIL_URL", "consolemail://", shown="printed to the log"))
EMAIL_BACKEND = EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_HOST = EMAIL_CONFIG.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = EMAIL_CONFIG.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = EMAIL_CONFIG.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = EMAIL_CONFIG.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = bool(EMAIL_CONFIG.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(EMAIL_CONFIG.get("EMAIL_USE_SSL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "preflight@localhost")

# The portal's own errors
SENTRY_DSN = env.text("SENTRY_DSN", shown="none")
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "production")
SENTRY_RELEASE = env.text("SENTRY_RELEASE", shown="none")
SENTRY_CHECK_INS = env.flag("SENTRY_CHECK_INS", default=True)

# Logs go to stderr: stdout belongs to what a command was asked for.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "portal.masking.MaskingFormatter", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}

SILENCED_SYSTEM_CHECKS: list[str] = []
