"""Creations that may be repeated: the same Idempotency-Key gives the same answer, and creates nothing twice.

After draft-ietf-httpapi-idempotency-key-header. The answer holds a secret, so it is stored under the seal of the
master key, in the transaction of what it tells of; refusals are not stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import orjson

from auth_service.admin.problems import AnswerSealed, KeyReused, MalformedRequest
from auth_service.admin.replies import Reply
from auth_service.master_key import SealBroken
from auth_service.queries import idempotency as queries

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.admin.calls import Call
    from auth_service.queries.idempotency import StoredAnswer
    from steelcut.service.database.postgres import Connection

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
# Some at each creation; all by the upkeep.
FORGOTTEN_AT_ONCE: Final = 100
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

Work = Callable[["Connection"], Awaitable[Reply]]
Check = Callable[["Connection"], Awaitable[object]]


async def once(call: Call, body: BaseModel | None, work: Work, check: Check | None = None) -> Response:
    """Do ``work`` in one transaction and answer with its reply; with a key that was used before, repeat that answer.

    ``check`` comes first, also before a repetition: it raises when the caller may not do this.
    Raises ``MalformedRequest`` for a key that is none, ``KeyReused``, ``AnswerSealed``.
    """
    key = _key(call.request)
    async with call.transaction() as connection:
        if key is not None:
            await queries.lock_key(connection, call.actor.name, key)
        if check is not None:
            await check(connection)
        if key is None:
            return (await work(connection)).response()
        request_hash = _hash(call.request, body)
        stored = await queries.answer(connection, call.actor.name, key, queries.KEPT_SECONDS)
        if stored is not None:
            return _repeated(call, key, stored, request_hash).response(**REPLAYED)
        reply = await work(connection)
        await _store(connection, call, key, request_hash, reply)
    return reply.response()


def _key(request: Request) -> str | None:
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        raise MalformedRequest(
            f"Send one {HEADER}: 1 to 255 printable ASCII characters without spaces, as a UUID."
        )
    return values[0]


def _hash(request: Request, body: BaseModel | None) -> bytes:
    content = body.model_dump(mode="json") if body is not None else None
    where = [request.method, request.scope["path"], request.scope["query_string"].decode("latin-1")]
    # One list, put together by hand: around a content as deep as orjson goes it could not.
    what = orjson.dumps(where)[:-1] + b"," + orjson.dumps(content, option=orjson.OPT_SORT_KEYS) + b"]"
    return hashlib.sha256(what).digest()


def _repeated(call: Call, key: str, stored: StoredAnswer, request_hash: bytes) -> Reply:
    if stored.request_hash != request_hash:
        raise KeyReused(f"This {HEADER} was used for another request: take a new key for a new request.")
    try:
        octets = call.process.master_key.unseal(stored.sealed_answer, _sealed_for(call, key))
    except SealBroken:
        raise AnswerSealed(
            f"The request was carried out at {stored.created_at:%Y-%m-%d %H:%M:%S} UTC, but its answer lies under the "
            f"seal of the master key {stored.master_key_id}, which is not here: look at what it made, and take a new "
            "key for a new request."
        ) from None
    return Reply.from_bytes(stored.status, octets)


async def _store(connection: Connection, call: Call, key: str, request_hash: bytes, reply: Reply) -> None:
    master_key = call.process.master_key
    await queries.forget_answers(connection, queries.KEPT_SECONDS, at_most=FORGOTTEN_AT_ONCE)
    await queries.store_answer(
        connection,
        call.actor.name,
        key,
        request_hash=request_hash,
        status=reply.status,
        sealed_answer=master_key.seal(reply.to_bytes(), _sealed_for(call, key)),
        master_key_id=master_key.key_id,
    )


def _sealed_for(call: Call, key: str) -> str:
    """Return what the seal is bound to, so that no answer can be put in the place of another."""
    return orjson.dumps(["idempotent answer", call.actor.name, key]).decode()
