"""Authlib's authorization server as its documentation builds it: Flask, and SQLAlchemy's models of clients and tokens.

Under gunicorn: ``benchmarks.peers.authlib_server:application``. What it is told is in the variable PEER, JSON.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants
from flask import Flask
from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

_Base: Any = declarative_base()


class Client(_Base, OAuth2ClientMixin):  # type: ignore[misc] # no types
    """A client; its secret is kept and compared in clear, as the mixin does."""

    __tablename__ = "authlib_client"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)


class Token(_Base, OAuth2TokenMixin):  # type: ignore[misc] # no types
    """A token, which is a random text and means what its row says."""

    __tablename__ = "authlib_token"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)


class ClientCredentials(grants.ClientCredentialsGrant):
    """RFC 6749 §4.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


def _application() -> Flask:
    told = json.loads(os.environ["PEER"])
    # A connection for each thread, kept.
    engine = create_engine(told["database"], pool_size=int(told["threads"]), max_overflow=0)
    session: Any = scoped_session(sessionmaker(bind=engine))
    _Base.metadata.create_all(engine)
    if session.query(Client).count() == 0:
        client = Client(
            client_id=told["client_id"],
            client_secret=told["client_secret"],
            client_id_issued_at=int(time.time()),
        )
        client.set_client_metadata(
            {
                "scope": "read",
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_basic",
            }
        )
        session.add(client)
        session.commit()
    session.remove()
    app = Flask(__name__)
    server = AuthorizationServer(
        app,
        query_client=create_query_client_func(session, Client),
        save_token=create_save_token_func(session, Token),
    )
    server.register_grant(ClientCredentials)

    def token() -> Any:
        return server.create_token_response()

    def remove(_: BaseException | None) -> None:
        session.remove()

    app.add_url_rule("/token", view_func=token, methods=["POST"])
    app.teardown_appcontext(remove)
    return app


application = _application()
