"""Requests that no good client sends, and such as few send though they may, as bytes."""

from __future__ import annotations

from typing import Final

HOST: Final = b"Host: 127.0.0.1"


def head(line: bytes, *fields: bytes) -> bytes:
    """Return the bytes of a head."""
    return b"\r\n".join([line, *fields, b"", b""])


def chunked(*pieces: bytes, trailers: tuple[bytes, ...] = ()) -> bytes:
    """Return the bytes of a chunked content."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + b"".join(trailer + b"\r\n" for trailer in trailers) + b"\r\n"


def shown(value: bytes | int) -> str:
    """Return the name of a case."""
    return repr(value.replace(b"\r\n" + HOST, b"")[:70]) if isinstance(value, bytes) else ""


# Over each of these two readers might disagree.
MALFORMED: Final = [
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 1", b"Content-Length: 2") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 1", b"Content-Length: 1") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 1, 1") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: -1"),
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: +1") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 0x1") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 99999999999999999999999"),
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"Content-Length: 5") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: identity") + b"x",
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked, gzip") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: xchunked") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked, chunked") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding : chunked") + chunked(),
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"zz\r\n",
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"1\r\nxx\r\n0\r\n\r\n",
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"1 \r\nx\r\n0\r\n\r\n",
    head(b"POST /token HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"1\nx\n0\n\n",
    head(b"GET /healthz HTTP/1.1", HOST, b"X: a", b" folded"),
    head(b"GET /healthz HTTP/1.1", HOST, b" X: y"),
    head(b"GET /healthz HTTP/1.1", HOST, b"X: a\0b"),
    head(b"GET /healthz HTTP/1.1", HOST, b"X\0: b"),
    head(b"GET /healthz HTTP/1.1", HOST, b"X: a\rb"),
    head(b"GET /healthz HTTP/1.1", HOST, b"no colon"),
    head(b"GET /healthz HTTP/1.1", HOST, b": no name"),
    head(b"GET /healthz HTTP/1.1", HOST, b"X : y"),
    b"GET /healthz HTTP/1.1\nHost: a\n\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: y\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\n",
    head(b"GET /healthz HTTP/1.1"),
    head(b"GET /healthz HTTP/1.1", HOST, HOST),
    head(b"GET /healthz HTTP/1.0", HOST, HOST),
    *(
        head(b"GET /healthz HTTP/1.1", b"Host: " + host)
        for host in (
            *(b"a b", b"a/b", b"u@h", b"h:abc", b"h:65536", b"h:99999999", b"h:1:2", b":x", b"[::1", b"::1"),
            *(b"[]", b"[::1]x", b"[g::1]", b"a,b", b"<x>", b"a#b", b"a?b", b"\xff", b"%zz", b"a%2", b'"a"'),
        )
    ),
    head(b"GET /healthz HTTP/1.0", b"Host: a/b"),
    head(b"GET /healthz HTTP/0.9", HOST),
    head(b"GET /healthz HTTP/3.0", HOST),
    b"GET /healthz\r\n\r\n",
    head(b"PRI * HTTP/2.0") + b"SM\r\n\r\n",
    head(b"CONNECT 127.0.0.1:1 HTTP/1.1", HOST),
    head(b"CONNECT /healthz HTTP/1.1", HOST),
    head(b"get /healthz HTTP/1.1", HOST),
    head(b"BREW /healthz HTTP/1.1", HOST),
    head(b"GET /a b HTTP/1.1", HOST),
    head(b"GET /\xff HTTP/1.1", HOST),
    head(b"GET /\0 HTTP/1.1", HOST),
    head(b"GET healthz HTTP/1.1", HOST),
    head(b"GET http:// HTTP/1.1", HOST),
    head(b"GET http://[ HTTP/1.1", HOST),
    head(b"GET 127.0.0.1:80 HTTP/1.1", HOST),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    b"\0" * 100,
    b"SSH-2.0-OpenSSH_9.6\r\n",
]

# With the status of the answer.
RARE: Final = [
    (head(b"GET http://127.0.0.1/healthz HTTP/1.1", HOST), 200),
    (head(b"GET http://elsewhere.example/healthz?x HTTP/1.1", HOST), 200),
    (head(b"GET http://elsewhere.example HTTP/1.1", HOST), 404),
    (head(b"GET http://elsewhere.example?x HTTP/1.1", HOST), 404),
    (head(b"OPTIONS * HTTP/1.1", HOST), 404),
    (head(b"OPTIONS http://elsewhere.example HTTP/1.1", HOST), 404),
    (head(b"GET /healthz HTTP/1.0"), 200),
    (head(b"GET /healthz HTTP/1.0", b"Connection: keep-alive"), 200),
    (head(b"GET /healthz HTTP/1.1", b"Host:"), 200),
    (head(b"GET /healthz HTTP/1.1", b"HOST:  a "), 200),
    *(
        (head(b"GET /healthz HTTP/1.1", b"Host: " + host), 200)
        for host in (
            *(b"a.example:65535", b"a_b", b"xn--a", b"A.", b"a:", b"[::1]", b"[::ffff:10.0.0.1]:80"),
            *(b"[v1.a:b]", b"a%C3%BC", b"a!$&'()*+;=~", b"10.0.0.1:8000"),
        )
    ),
    *(
        (head(b"POST /healthz HTTP/1.1", HOST, *lines) + chunked(b"x"), 501)
        for lines in (
            (b"Transfer-Encoding: gzip, chunked",),
            (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        )
    ),
    (head(b"POST /healthz HTTP/1.1", HOST, b"Transfer-Encoding: Chunked") + chunked(b"x"), 405),
    (b"\r\n\r\n" + head(b"GET /healthz HTTP/1.1", HOST), 200),
    (head(b"GET /healthz HTTP/1.1", HOST, b"X:", b"Y: \xff\t\x80"), 200),
    (head(b"GET /healthz HTTP/1.1", HOST, b"Content-Length: 1") + b"x", 200),
    (head(b"GET /healthz HTTP/1.1", HOST, b"Expect: 100-continue"), 200),
    (head(b"GET //healthz HTTP/1.1", HOST), 404),
    (head(b"GET /../healthz HTTP/1.1", HOST), 404),
    (head(b"GET /healthz#x HTTP/1.1", HOST), 200),
    (head(b"TRACE /healthz HTTP/1.1", HOST), 405),
]
