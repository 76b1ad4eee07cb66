"""JSON from elsewhere: whole files that must be JSON, members that must be of their types."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from auth_service.administration.errors import Invalid
from auth_service.transfer.records import Refused, clause

Model = TypeVar("Model", bound=BaseModel)
MAX_MISTAKES_SHOWN = 3


def objects(data: bytes, what: str, *, within: tuple[str, ...] = ()) -> list[Any]:
    """Return the members of the JSON array in ``data``, or of the one that an object holds under a name of ``within``.

    Raises ``Invalid`` with the place of the mistake and never with a piece of the file, which is full of secrets.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise Invalid(f"{what} is not JSON: line {error.lineno}, column {error.colno}.") from None
    except (UnicodeDecodeError, RecursionError):
        raise Invalid(f"{what} is not JSON in UTF-8.") from None
    if isinstance(content, dict):
        content = next((content[name] for name in within if name in content), content)
    if not isinstance(content, list):
        raise Invalid(f"{what} holds no array.")
    return content


def checked(model: type[Model], value: object) -> Model:
    """Return ``value`` as a ``model``. Raises ``Refused`` with the names of what does not fit, without their values."""
    if not isinstance(value, dict):
        raise Refused("it is no JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_input=False, include_url=False, include_context=False)
    said = [
        f"{'.'.join(map(str, mistake['loc'])) or 'it'}: {clause(mistake['msg'].removeprefix('Value error, '))}"
        for mistake in mistakes
    ]
    more = f", and {len(said) - MAX_MISTAKES_SHOWN} more" if len(said) > MAX_MISTAKES_SHOWN else ""
    raise Refused("; ".join(said[:MAX_MISTAKES_SHOWN]) + more)


def member(value: object, *names: str) -> object:
    """Return the first member of ``names`` that a JSON object has, None when it has none or is no object."""
    return next((value[name] for name in names if name in value), None) if isinstance(value, dict) else None
