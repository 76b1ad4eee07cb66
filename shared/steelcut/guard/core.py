"""A guard of one protected resource, whatever the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from steelcut import discovery
from steelcut.claims import Claims
from steelcut.errors import BearerError, InsufficientScope
from steelcut.guard.bearer import bearer_token, challenge
from steelcut.guard.openapi import refusals
from steelcut.verifier import DEFAULT_LEEWAY_SECONDS, Verifier

if TYPE_CHECKING:
    from starlette.routing import Route

    from steelcut.exchange import Exchange
    from steelcut.trust import TrustedIssuer

Dependency: TypeAlias = Callable[..., Awaitable[Claims]]

# The letters of one would be taken for scopes.
_ONE_STRING: Final = "scopes must be given as a list, not as one string"


class Guard:
    """Lets pass who brings an access token that a trusted issuer meant for this resource.

    For FastAPI there is ``Depends(guard("read"))``, for any ASGI application ``GuardMiddleware``, for everything else
    ``admit`` and ``admit_sync``. A guard may be shared by all threads and event loops and needs no closing.
    """

    def __init__(  # noqa: PLR0913 - all but the first by name
        self,
        issuers: str | TrustedIssuer | Iterable[str | TrustedIssuer] | None = None,
        *,
        audience: str,
        scopes: Iterable[str] | Mapping[str, str] = (),
        resource_metadata: str | None = None,
        token_url: str | None = None,
        scheme_name: str | None = None,
        leeway_seconds: float = DEFAULT_LEEWAY_SECONDS,
        check: Callable[[Claims], bool] | None = None,
        exchange: Exchange | None = None,
        report: Callable[[str], None] | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """Guard the resource ``audience``: its URL, by which tokens and metadata name it.

        ``scopes`` are those that the resource knows, with a description each if it is a mapping: for its metadata and
        for OpenAPI, and so that a misspelt one is noticed; which of them a request needs is said at each route.
        ``resource_metadata`` is the URL of the metadata; without it, where RFC 9728 §3.1 puts it, and none is told when
        ``audience`` is no URL. ``token_url`` and ``scheme_name`` are for OpenAPI alone: where clients get their tokens,
        and what tells apart the schemes of several guards of one application.

        ``leeway_seconds``, ``check``, ``exchange`` and ``report`` are those of ``Verifier``; with a ``verifier`` of
        one's own they, and the issuers, are its. Raises ``ValueError`` when an argument cannot be used.
        """
        if not audience:
            raise ValueError("the audience must not be empty")
        if verifier is None:
            if issuers is None:
                raise ValueError("a guard needs an issuer to trust, or a verifier")
            verifier = Verifier(
                issuers,
                audience=audience,
                leeway_seconds=leeway_seconds,
                check=check,
                exchange=exchange,
                report=report,
            )
        elif issuers is not None or check or exchange or report or leeway_seconds != DEFAULT_LEEWAY_SECONDS:
            # Not to be passed over in silence: a check that nobody makes looks like one that passes.
            raise ValueError(
                "a guard with a verifier of its own takes issuers and their options from that alone"
            )
        self.audience = audience
        self.scopes: Mapping[str, str] = _described(scopes) if scopes else {}
        self.token_url = token_url
        self.scheme_name = scheme_name
        self.verifier = verifier
        self._resource_metadata = resource_metadata
        self._dependencies: dict[tuple[tuple[str, ...], tuple[str, ...]], Dependency] = {}

    async def admit(
        self, authorization: Sequence[str], scopes: Collection[str] = (), any_of: Collection[str] = ()
    ) -> Claims:
        """Return the claims of a request whose Authorization headers are ``authorization``, one value each.

        The token must grant all of ``scopes`` and, if there is any, one of ``any_of``.

        Raises a ``BearerError`` that carries its challenge: ``NoCredentials``, ``MalformedAuthorization``,
        ``InvalidToken``, or ``InsufficientScope``. Raises ``TemporarilyUnavailable`` when no key of the issuer is
        known.
        """
        if isinstance(scopes, str) or isinstance(any_of, str):
            raise TypeError(_ONE_STRING)
        try:
            claims = await self.verifier.verify_async(bearer_token(authorization), audience=self.audience)
            _demand(claims, scopes, any_of)
        except BearerError as refusal:
            raise self.challenged(refusal, scopes, any_of) from refusal
        return claims

    def admit_sync(
        self, authorization: Sequence[str], scopes: Collection[str] = (), any_of: Collection[str] = ()
    ) -> Claims:
        """Do what ``admit`` does, in code without an event loop."""
        if isinstance(scopes, str) or isinstance(any_of, str):
            raise TypeError(_ONE_STRING)
        try:
            claims = self.verifier.verify(bearer_token(authorization), audience=self.audience)
            _demand(claims, scopes, any_of)
        except BearerError as refusal:
            raise self.challenged(refusal, scopes, any_of) from refusal
        return claims

    def challenged(
        self, refusal: BearerError, scopes: Collection[str] = (), any_of: Collection[str] = ()
    ) -> BearerError:
        """Return ``refusal`` with the challenge of a request that needs these scopes.

        RFC 6750 §3 has no word for alternatives: the first of ``any_of`` is named, so put the least powerful first.
        """
        value = challenge(
            refusal, sufficient(scopes, any_of), resource_metadata=self.metadata_url, realm=self.audience
        )
        headers = {**refusal.headers(), "WWW-Authenticate": value}
        return type(refusal)(refusal.reason, headers=headers, kind=refusal.kind)

    def __call__(self, *scopes: str, any_of: Sequence[str] = ()) -> Dependency:
        """Return a dependency of FastAPI that gives the ``Claims`` of a request: ``Depends(guard("read"))``.

        The token must grant all of ``scopes`` and, if there is any, one of ``any_of``. The same scopes give the same
        dependency, so that ``app.dependency_overrides[guard("read")]`` finds it. Refusals are ``Refused``, a
        ``HTTPException`` of FastAPI's. Needs FastAPI. Raises ``ValueError`` at a scope that the guard does not know.
        """
        from steelcut.guard.fastapi import dependency  # noqa: PLC0415 - for FastAPI alone

        wanted = (scopes, tuple(any_of))
        if wanted not in self._dependencies:
            if isinstance(any_of, str):
                raise TypeError(_ONE_STRING)
            self.check_scopes(*scopes, *any_of)
            self._dependencies[wanted] = dependency(self, *wanted)
        return self._dependencies[wanted]

    def check_scopes(self, *scopes: str) -> None:
        """Raise ``ValueError`` at the first of ``scopes`` that is none of this guard's, if it was told its own."""
        for scope in scopes:
            if self.scopes and scope not in self.scopes:
                raise ValueError(f"the scope {scope} is none of this guard's: {', '.join(self.scopes)}")

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The refusals, for the OpenAPI document of FastAPI: ``APIRouter(responses=guard.responses)``."""
        return refusals()

    @property
    def metadata_url(self) -> str | None:
        """Where the metadata of the resource is served (RFC 9728 §3.1), None when its name is no URL."""
        if self._resource_metadata is not None:
            return self._resource_metadata
        try:
            discovery.check_resource_identifier(self.audience)
        except ValueError:
            return None
        return discovery.well_known(self.audience, discovery.PROTECTED_RESOURCE)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the resource (RFC 9728 §2), as a JSON object."""
        document: dict[str, Any] = {
            "resource": self.audience,
            "authorization_servers": list(self.verifier.issuers),
            # The header alone: RFC 6750's form and query methods are not looked at.
            "bearer_methods_supported": ["header"],
        }
        if self.scopes:
            document["scopes_supported"] = list(self.scopes)
        return document

    def metadata_route(self) -> Route:
        """Return a route of Starlette that serves ``metadata`` at the path of ``metadata_url``, to anybody.

        ``app.router.routes.append(guard.metadata_route())``, at the root of the host: the path is not below that of
        the resource. Needs Starlette. Raises ``ValueError`` when there is no ``metadata_url``.
        """
        from steelcut.guard.metadata import route  # noqa: PLC0415 - for Starlette alone

        return route(self)


def sufficient(scopes: Collection[str], any_of: Collection[str]) -> list[str]:
    """Return scopes that are enough where all of ``scopes`` and one of ``any_of`` are needed."""
    if not any_of or any(scope in scopes for scope in any_of):
        return list(scopes)
    return [*scopes, next(iter(any_of))]


def _demand(claims: Claims, scopes: Collection[str], any_of: Collection[str]) -> None:
    granted = claims.scopes
    if not granted.issuperset(scopes):
        missing = " ".join(scope for scope in scopes if scope not in granted)
        raise InsufficientScope(f"the token does not grant {missing}")
    if any_of and granted.isdisjoint(any_of):
        raise InsufficientScope(f"the token does not grant {' or '.join(any_of)}")


def _described(scopes: Iterable[str] | Mapping[str, str]) -> Mapping[str, str]:
    if isinstance(scopes, str):
        raise TypeError(_ONE_STRING)
    return dict(scopes) if isinstance(scopes, Mapping) else dict.fromkeys(scopes, "")
