"""Requests to /token that no honest client sends, as tables: name, request, status, error code."""

from __future__ import annotations

import base64
import gzip
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from tests.support.system import Registered

POST = b"POST /token HTTP/1.1"
FORM = b"grant_type=client_credentials"
FORM_TYPE = b"Content-Type: application/x-www-form-urlencoded"
BASIC = b"Authorization: Basic <basic>"
CHUNKED = b"Transfer-Encoding: chunked"
LIMIT = 64 * 1024


@dataclass(frozen=True)
class Hostile:
    """One request; ``<id>``, ``<secret>`` and ``<basic>`` in it stand for those of a registered client."""

    body: bytes = FORM
    headers: tuple[bytes, ...] = (FORM_TYPE, BASIC)
    line: bytes = POST

    def sent_by(self, client: Registered) -> bytes:
        """Return the bytes to send; the length of the body is announced unless the headers say something."""
        basic = base64.b64encode(f"{client.client_id}:{client.secret}".encode())
        body, *headers = (_filled(part, client, basic) for part in (self.body, *self.headers))
        if not any(
            header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers
        ):
            headers.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([_filled(self.line, client, basic), b"Host: auth.example", *headers, b"", body])


class Case(NamedTuple):
    """What is sent and what the sender sees. ``error`` is None for a token, and for what is no OAuth answer."""

    name: str
    request: Hostile
    status: int
    error: str | None


def _filled(part: bytes, client: Registered, basic: bytes) -> bytes:
    part = part.replace(b"<id>", client.client_id.encode()).replace(b"<secret>", client.secret.encode())
    return part.replace(b"<basic>", basic)


def _also(parameters: bytes) -> Hostile:
    """Return a good request with more parameters."""
    return Hostile(FORM + b"&" + parameters)


def _in_body(parameters: bytes) -> Hostile:
    """Return a request that brings its credentials, if any, in the body."""
    return Hostile(FORM + b"&" + parameters, (FORM_TYPE,))


def _typed(*content_types: bytes, body: bytes = FORM) -> Hostile:
    return Hostile(body, (*(b"Content-Type: " + value for value in content_types), BASIC))


def _authorized(*values: bytes, body: bytes = FORM) -> Hostile:
    return Hostile(body, (FORM_TYPE, *(b"Authorization: " + value for value in values)))


def _basic(pair: bytes) -> Hostile:
    return _authorized(b"Basic " + base64.b64encode(pair))


def _padded(size: int) -> bytes:
    return FORM + b"&padding=" + b"a" * (size - len(FORM) - len(b"&padding="))


def _chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


BYTES = [
    Case("NUL in scope", _also(b"scope=rea%00d"), 400, "invalid_scope"),
    Case("NUL as a byte", _also(b"scope=rea\0d"), 400, "invalid_scope"),
    Case("NUL in grant_type", Hostile(FORM + b"%00"), 400, "unsupported_grant_type"),
    Case("NUL in a name", Hostile(b"grant_type%00=client_credentials"), 400, "invalid_request"),
    Case("NUL in resource", _also(b"resource=api_v0.0.1%00"), 400, "invalid_target"),
    Case("NUL in client_id", _in_body(b"client_id=<id>%00&client_secret=<secret>"), 400, "invalid_request"),
    Case(
        "NUL in client_secret", _in_body(b"client_id=<id>&client_secret=<secret>%00"), 400, "invalid_request"
    ),
    Case("DEL in client_id", _in_body(b"client_id=<id>%7f&client_secret=<secret>"), 400, "invalid_request"),
    Case("emoji in client_id", _in_body(b"client_id=%F0%9F%94%91&client_secret=x"), 400, "invalid_request"),
    Case("emoji in scope", _also("scope=🔑".encode()), 400, "invalid_scope"),
    Case("emoji in resource", _also("resource=🔑".encode()), 400, "invalid_target"),
    Case("emoji in a name", _also("🔑=x".encode()), 200, None),
    Case("a byte that is no UTF-8", _also(b"scope=\xff"), 400, "invalid_request"),
    Case("the same, escaped", _also(b"scope=%FF"), 400, "invalid_request"),
    Case("the same, in a name", _also(b"%FF=x"), 400, "invalid_request"),
    Case("the same, in an unknown parameter", _also(b"x=%FF"), 400, "invalid_request"),
    Case("Latin-1", _also("name=é".encode("latin-1")), 400, "invalid_request"),
    Case("overlong slash", _also(b"scope=%C0%AF"), 400, "invalid_request"),
    Case("overlong NUL", _also(b"scope=\xc0\x80"), 400, "invalid_request"),
    Case("a lone surrogate", _also(b"scope=%ED%A0%80"), 400, "invalid_request"),
    Case("beyond Unicode", _also(b"scope=%F4%90%80%80"), 400, "invalid_request"),
    Case("half a character", _also(b"scope=%E2%82"), 400, "invalid_request"),
    Case("byte order mark", Hostile(b"\xef\xbb\xbf" + FORM), 400, "invalid_request"),
    Case("byte order mark, escaped", Hostile(b"%EF%BB%BF" + FORM), 400, "invalid_request"),
    Case("UTF-16", Hostile(FORM.decode().encode("utf-16")), 400, "invalid_request"),
    Case("a header in scope", _also(b"scope=read%0D%0ASet-Cookie:+a=b"), 400, "invalid_scope"),
    Case("a line break after scope", _also(b"scope=read%0A"), 400, "invalid_scope"),
    Case("a line break after the body", Hostile(FORM + b"\r\n"), 400, "unsupported_grant_type"),
    Case("escape sequences of a terminal", _also(b"scope=%1B%5B2J"), 400, "invalid_scope"),
    Case("quotes in scope", _also(b"scope=%22read%22"), 400, "invalid_scope"),
    Case("backslash in scope", _also(b"scope=re%5Cad"), 400, "invalid_scope"),
    Case("nothing but bytes", Hostile(bytes(range(256))), 400, "invalid_request"),
]

REPEATS = [
    Case("grant_type twice", _also(FORM), 400, "invalid_request"),
    Case("scope twice", _also(b"scope=read&scope=read"), 400, "invalid_request"),
    Case(
        "client_id twice",
        _in_body(b"client_id=<id>&client_id=<id>&client_secret=<secret>"),
        400,
        "invalid_request",
    ),
    Case(
        "client_secret twice",
        _in_body(b"client_id=<id>&client_secret=<secret>&client_secret=<secret>"),
        400,
        "invalid_request",
    ),
    Case("an unknown one twice", _also(b"x=1&x=2"), 400, "invalid_request"),
    Case("twice, once escaped", _also(b"sc%6Fpe=read&scope=read"), 400, "invalid_request"),
    Case("twice, with others between", _also(b"scope=read&x=1&scope=write"), 400, "invalid_request"),
    Case("twice, once without a value", _also(b"grant_type=&scope=&scope=read"), 200, None),
    Case("resource twice", _also(b"resource=api_v0.0.1&resource=api_v0.0.1"), 200, None),
    Case("resource twice, one unknown", _also(b"resource=api_v0.0.1&resource=other"), 400, "invalid_target"),
    Case("names that differ in case", _also(b"Scope=read&scope=read"), 200, None),
]

SIZES = [
    Case("32 parameters", _also(b"&".join(b"x%d=1" % number for number in range(31))), 200, None),
    Case(
        "33 parameters", _also(b"&".join(b"x%d=1" % number for number in range(32))), 400, "invalid_request"
    ),
    Case("33 times resource", _also(b"&".join([b"resource=api_v0.0.1"] * 32)), 400, "invalid_request"),
    Case("65,536 separators", Hostile(b"&" * LIMIT), 400, "invalid_request"),
    Case("64 KiB", Hostile(_padded(LIMIT)), 200, None),
    Case("64 KiB and a byte", Hostile(_padded(LIMIT + 1)), 413, "invalid_request"),
    Case("5 MB", Hostile(_padded(5_000_000)), 413, "invalid_request"),
    Case("64 KiB of another type", _typed(b"text/plain", body=_padded(LIMIT + 1)), 400, "invalid_request"),
    Case("64 KiB in chunks", Hostile(_chunks(_padded(LIMIT), 4096), (FORM_TYPE, BASIC, CHUNKED)), 200, None),
    Case(
        "64 KiB and a byte in chunks",
        Hostile(_chunks(_padded(LIMIT + 1), 4096), (FORM_TYPE, BASIC, CHUNKED)),
        413,
        "invalid_request",
    ),
    Case("chunks of a byte", Hostile(_chunks(FORM, 1), (FORM_TYPE, BASIC, CHUNKED)), 200, None),
    Case("a name of 60,000 bytes", _also(b"x" * 60_000 + b"=1"), 200, None),
    Case("a scope of 60,000 bytes", _also(b"scope=" + b"x" * 60_000), 400, "invalid_scope"),
    Case("30,000 scopes", _also(b"scope=" + b"r+" * 29_999 + b"r"), 400, "invalid_scope"),
]

CONTENT_TYPES = [
    Case("no Content-Type", _typed(), 400, "invalid_request"),
    Case("an empty one", _typed(b""), 400, "invalid_request"),
    Case("text/plain", _typed(b"text/plain"), 400, "invalid_request"),
    Case(
        "JSON",
        _typed(b"application/json", body=b'{"grant_type":"client_credentials"}'),
        400,
        "invalid_request",
    ),
    Case("JSON that says form", Hostile(b'{"grant_type":"client_credentials"}'), 400, "invalid_request"),
    Case(
        "multipart",
        _typed(
            b"multipart/form-data; boundary=b",
            body=b'--b\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n--b--\r\n',
        ),
        400,
        "invalid_request",
    ),
    Case("twice", _typed(*[b"application/x-www-form-urlencoded"] * 2), 400, "invalid_request"),
    Case("two", _typed(b"application/x-www-form-urlencoded", b"text/plain"), 400, "invalid_request"),
    Case("two in one", _typed(b"application/x-www-form-urlencoded, text/plain"), 400, "invalid_request"),
    Case("a longer name", _typed(b"application/x-www-form-urlencoded2"), 400, "invalid_request"),
    Case("capitals", _typed(b"Application/X-WWW-Form-Urlencoded"), 200, None),
    Case("charset utf-8", _typed(b"application/x-www-form-urlencoded;charset=UTF-8"), 200, None),
    Case("charset in quotes", _typed(b'application/x-www-form-urlencoded; charset="utf-8"'), 200, None),
    Case("a last semicolon", _typed(b"application/x-www-form-urlencoded;"), 200, None),
    Case(
        "charset latin-1",
        _typed(b"application/x-www-form-urlencoded; charset=iso-8859-1"),
        400,
        "invalid_request",
    ),
    Case(
        "charset utf-7", _typed(b"application/x-www-form-urlencoded; charset=utf-7"), 400, "invalid_request"
    ),
    Case(
        "two charsets",
        _typed(b"application/x-www-form-urlencoded; charset=utf-8; charset=x"),
        400,
        "invalid_request",
    ),
    Case("bytes in it", _typed(b"application/x-www-form-urlencoded; \xff"), 400, "invalid_request"),
    Case(
        "gzip",
        Hostile(gzip.compress(FORM), (FORM_TYPE, BASIC, b"Content-Encoding: gzip")),
        400,
        "invalid_request",
    ),
    Case(
        "deflate",
        Hostile(zlib.compress(FORM), (FORM_TYPE, BASIC, b"Content-Encoding: deflate")),
        400,
        "invalid_request",
    ),
]

FORMS = [
    Case("empty", Hostile(b""), 400, "invalid_request"),
    Case("empty, nobody asks", Hostile(b"", (FORM_TYPE,)), 401, "invalid_client"),
    Case("separators alone", Hostile(b"&&&"), 400, "invalid_request"),
    Case("an equals sign alone", Hostile(b"="), 400, "invalid_request"),
    Case("a value without a name", Hostile(b"=client_credentials"), 400, "invalid_request"),
    Case("a name without a value", Hostile(b"grant_type"), 400, "invalid_request"),
    Case("an empty value", Hostile(b"grant_type="), 400, "invalid_request"),
    Case("everything escaped", Hostile(b"%67rant%5Ftype=client%5fcredential%73"), 200, None),
    Case("escaped twice", Hostile(b"grant_type=client%255Fcredentials"), 400, "unsupported_grant_type"),
    Case("half an escape", _also(b"scope=read%2"), 400, "invalid_scope"),
    Case("no hexadecimal", _also(b"scope=%zz"), 400, "invalid_scope"),
    Case("a percent sign at the end", _also(b"x=%"), 200, None),
    Case("an escaped separator", _also(b"x=1%26scope=write"), 200, None),
    Case("an escaped equals sign", Hostile(b"grant_type%3Dclient_credentials"), 400, "invalid_request"),
    Case("two equals signs", Hostile(b"grant_type==client_credentials"), 400, "unsupported_grant_type"),
    Case("plus for underscore", Hostile(b"grant_type=client+credentials"), 400, "unsupported_grant_type"),
    Case("plus between scopes", _also(b"scope=read+read"), 200, None),
    Case("%20 between scopes", _also(b"scope=read%20read"), 200, None),
    Case("%2B between scopes", _also(b"scope=read%2Bread"), 400, "invalid_scope"),
    Case("a space before scope", _also(b"scope=+read"), 400, "invalid_scope"),
    Case("a space after scope", _also(b"scope=read%20"), 400, "invalid_scope"),
    Case("two spaces", _also(b"scope=read++read"), 400, "invalid_scope"),
    Case("nothing but spaces", _also(b"scope=+++"), 400, "invalid_scope"),
    Case("a tab between scopes", _also(b"scope=read%09read"), 400, "invalid_scope"),
    Case("a comma between scopes", _also(b"scope=read,read"), 400, "invalid_scope"),
    Case("a scope in capitals", _also(b"scope=READ"), 400, "invalid_scope"),
    Case("semicolons for separators", Hostile(FORM + b";scope=read"), 400, "unsupported_grant_type"),
    Case("array, PHP", Hostile(b"grant_type[]=client_credentials"), 400, "invalid_request"),
    Case("array beside the real one", _also(b"scope[]=write&scope[0]=write"), 200, None),
    Case("object, Rails", Hostile(b"token[grant_type]=client_credentials"), 400, "invalid_request"),
    Case("in quotes", Hostile(b"grant_type=%22client_credentials%22"), 400, "unsupported_grant_type"),
    Case("grant_type in capitals", Hostile(b"grant_type=CLIENT_CREDENTIALS"), 400, "unsupported_grant_type"),
    Case(
        "grant_type password",
        Hostile(b"grant_type=password&username=a&password=b"),
        400,
        "unsupported_grant_type",
    ),
    Case("a question mark before it", Hostile(b"?" + FORM), 400, "invalid_request"),
    Case("resource with a fragment", _also(b"resource=http://127.0.0.1/api%23x"), 400, "invalid_target"),
    Case("resource, relative", _also(b"resource=/api_v0.0.1"), 400, "invalid_target"),
    Case("resource, script", _also(b"resource=javascript:alert(1)"), 400, "invalid_target"),
    Case("resource, a list", _also(b"resource=api_v0.0.1,api_v0.0.1"), 400, "invalid_target"),
]

CREDENTIALS = [
    Case("in the body", _in_body(b"client_id=<id>&client_secret=<secret>"), 200, None),
    Case("nowhere", Hostile(headers=(FORM_TYPE,)), 401, "invalid_client"),
    Case("client_id alone", _in_body(b"client_id=<id>"), 401, "invalid_client"),
    Case("client_secret alone", _in_body(b"client_secret=<secret>"), 401, "invalid_client"),
    Case("both empty", _in_body(b"client_id=&client_secret="), 401, "invalid_client"),
    Case("id and secret swapped", _in_body(b"client_id=<secret>&client_secret=<id>"), 401, "invalid_client"),
    Case("the secret as both", _in_body(b"client_id=<secret>&client_secret=<secret>"), 401, "invalid_client"),
    Case(
        "the secret inside the id",
        _in_body(b"client_id=<id>:<secret>&client_secret=x"),
        401,
        "invalid_client",
    ),
    Case(
        "a space after the secret", _in_body(b"client_id=<id>&client_secret=<secret>+"), 401, "invalid_client"
    ),
    Case("an id of 255", _in_body(b"client_id=" + b"x" * 255 + b"&client_secret=x"), 401, "invalid_client"),
    Case("an id of 256", _in_body(b"client_id=" + b"x" * 256 + b"&client_secret=x"), 400, "invalid_request"),
    Case("a secret of 1,024", _in_body(b"client_id=x&client_secret=" + b"x" * 1024), 401, "invalid_client"),
    Case("a secret of 1,025", _in_body(b"client_id=x&client_secret=" + b"x" * 1025), 400, "invalid_request"),
    Case("SQL", _in_body(b"client_id=x'+OR+1=1--&client_secret=<secret>"), 401, "invalid_client"),
    Case(
        "a format string",
        _in_body(b"client_id=%25s%25n{0.__class__}&client_secret=<secret>"),
        401,
        "invalid_client",
    ),
    Case("header and body", _also(b"client_id=<id>&client_secret=<secret>"), 400, "invalid_request"),
    Case("header and a secret in the body", _also(b"client_secret=<secret>"), 400, "invalid_request"),
    Case("header and the same id", _also(b"client_id=<id>"), 200, None),
    Case("header and another id", _also(b"client_id=somebody"), 400, "invalid_request"),
    Case("two headers", _authorized(*[b"Basic <basic>"] * 2), 400, "invalid_request"),
    Case("Basic and Bearer", _authorized(b"Basic <basic>", b"Bearer x"), 400, "invalid_request"),
    Case("an empty header", _authorized(b""), 401, "invalid_client"),
    Case("Basic alone", _authorized(b"Basic"), 400, "invalid_request"),
    Case("basic in small letters", _authorized(b"basic <basic>"), 200, None),
    Case("spaces around it", _authorized(b"  Basic   <basic>  "), 200, None),
    Case("a tab after Basic", _authorized(b"Basic\t<basic>"), 401, "invalid_client"),
    Case("Bearer", _authorized(b"Bearer <basic>"), 401, "invalid_client"),
    Case("Digest", _authorized(b'Digest username="<id>"'), 401, "invalid_client"),
    Case("no base64", _authorized(b"Basic <id>:<secret>"), 400, "invalid_request"),
    Case("two of them", _authorized(b"Basic <basic>, Basic <basic>"), 400, "invalid_request"),
    Case("no padding", _authorized(b"Basic eDp5eg"), 400, "invalid_request"),
    Case("URL-safe base64", _authorized(b"Basic Pz8_Pj46Pj4-"), 400, "invalid_request"),
    Case("bytes in the header", _authorized(b"Basic \xff\xfe"), 400, "invalid_request"),
    Case("no colon", _basic(b"nobody"), 400, "invalid_request"),
    Case("nothing but a colon", _basic(b":"), 401, "invalid_client"),
    Case("NUL in it", _basic(b"a\0b:c"), 400, "invalid_request"),
    Case("NUL in it, escaped", _basic(b"a%00b:c"), 400, "invalid_request"),
    Case("UTF-8 in it", _basic("jürgen:x".encode()), 400, "invalid_request"),
    Case("UTF-8 in it, escaped", _basic(b"j%C3%BCrgen:x"), 400, "invalid_request"),
    Case("no UTF-8 in it, escaped", _basic(b"a%FF:x"), 400, "invalid_request"),
    Case("a line break in it, escaped", _basic(b"a%0D%0Ab:x"), 400, "invalid_request"),
    Case("40,000 bytes", _basic(b"a:" + b"x" * 40_000), 400, "invalid_request"),
    Case(
        "secret in the URI",
        Hostile(line=b"POST /token?client_secret=<secret> HTTP/1.1"),
        400,
        "invalid_request",
    ),
    Case(
        "secret in the URI, escaped",
        Hostile(line=b"POST /token?x=1&client%5Fsecret=<secret> HTTP/1.1"),
        400,
        "invalid_request",
    ),
    Case(
        "everything in the URI",
        Hostile(
            b"", (FORM_TYPE,), b"POST /token?" + FORM + b"&client_id=<id>&client_secret=<secret> HTTP/1.1"
        ),
        400,
        "invalid_request",
    ),
    Case(
        "the form in the URI",
        Hostile(b"", line=b"POST /token?" + FORM + b" HTTP/1.1"),
        400,
        "invalid_request",
    ),
]

METHODS = [
    Case(method, Hostile(line=method.encode() + b" /token HTTP/1.1"), 405, "invalid_request")
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK")
]

PATHS = [
    Case(path, Hostile(line=b"POST " + path.encode() + b" HTTP/1.1"), 404, "not_found")
    for path in (
        "/token/",
        "//token",
        "/TOKEN",
        "/token%00",
        "/token%FF",
        "/token%2F",
        "/token;x=1",
        "/x/../token",
    )
]

# Refused before the application sees them: the server's parser answers, in no particular form, and hangs up.
FRAMING = [
    Case(
        "two lengths",
        Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: 29", b"Content-Length: 30")),
        400,
        None,
    ),
    Case("a list of lengths", Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: 29, 30")), 400, None),
    Case(
        "length and chunks",
        Hostile(_chunks(FORM, 9), (FORM_TYPE, BASIC, CHUNKED, b"Content-Length: 3")),
        400,
        None,
    ),
    Case("length below zero", Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: -1")), 400, None),
    Case(
        "length beyond 64 bits",
        Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: " + b"9" * 30)),
        400,
        None,
    ),
    Case("length with a sign", Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: +29")), 400, None),
    Case("length in words", Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: many")), 400, None),
    Case("length below the body's", Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: 10")), 400, None),
    Case("chunks that are none", Hostile(b"zz\r\n" + FORM, (FORM_TYPE, BASIC, CHUNKED)), 400, None),
    Case("NUL in a header", Hostile(headers=(FORM_TYPE, BASIC, b"X-Header: a\0b")), 400, None),
    Case(
        "a space before the colon", Hostile(headers=(FORM_TYPE, b"Authorization : Basic <basic>")), 400, None
    ),
    Case("bytes in the path", Hostile(line=b"POST /token\xff HTTP/1.1"), 400, None),
    Case("a path without a slash", Hostile(line=b"POST token HTTP/1.1"), 400, None),
    Case("TLS", Hostile(line=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, None),
]
