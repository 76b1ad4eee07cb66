"""django-oauth-toolkit as its documentation sets it up, in one file: Django's settings, one URL, PostgreSQL.

Under gunicorn: ``benchmarks.peers.django_server:application``. What it is told is in the variable PEER, JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

_told: dict[str, Any] = json.loads(os.environ["PEER"])
_database = urlsplit(_told["database"])
settings.configure(
    SECRET_KEY=_told["client_secret"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database.path[1:],
            "USER": _database.username,
            "PASSWORD": _database.password,
            "HOST": _database.hostname,
            "PORT": _database.port,
            # Kept from request to request.
            "CONN_MAX_AGE": None,
        }
    },
    OAUTH2_PROVIDER={"SCOPES": {"read": "Read"}, "ACCESS_TOKEN_EXPIRE_SECONDS": 600},
    USE_TZ=True,
)
django.setup()

from django.urls import path  # noqa: E402 - Django must be set up first
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.views import TokenView  # noqa: E402

urlpatterns = [path("token", TokenView.as_view())]

call_command("migrate", verbosity=0)
if not Application.objects.filter(client_id=_told["client_id"]).exists():
    Application.objects.create(
        client_id=_told["client_id"],
        client_secret=_told["client_secret"],
        # Hashed by Django's password hasher, as it is by default, or kept in clear.
        hash_client_secret=_told["hashed"],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
application = get_wsgi_application()
