"""What holds for every form, every Content-Type and every Authorization header, not only for those we thought of."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth_service.client_authentication import Credentials, presented_credentials
from auth_service.errors import (
    DifferentClientIds,
    InvalidClient,
    NotAForm,
    RepeatedAuthorization,
    RepeatedParameter,
    TooManyParameters,
    TwoAuthenticationMethods,
    UndecodableForm,
)
from auth_service.form import MAX_PARAMETERS, MEDIA_TYPE, Form, check_content_type, parse_form
from steelcut.errors import OAuthError

# The same examples in every run: a test that is red once is red again.
profile = settings(derandomize=True, database=None, deadline=None, max_examples=60)

# RFC 6749 Appendix A.1 and A.2
VSCHAR = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
CLIENT_ID = st.text(VSCHAR, min_size=1, max_size=255)
SECRET = st.text(VSCHAR, min_size=1, max_size=300)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NAME = VALUE.filter(lambda name: name != "resource")
PARAMETERS = st.dictionaries(NAME, VALUE, max_size=6)
RESOURCES = st.lists(VALUE, max_size=4)
# Bytes that no decoder of UTF-8 may take, whatever stands around them.
NO_UTF_8 = st.sampled_from(
    [b"\xff", b"\x80", b"\xc0\xaf", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
LETTERS = st.text("aZ0_é🔑", max_size=5).map(str.encode)
# Near a form, so that the examples get past the first check.
FORMISH = st.lists(
    st.sampled_from(
        [b"grant_type", b"resource", b"=", b"&", b"%", b"%2", b"%FF", b"+", b"\0", b"\xff", b";", b"[]"]
    )
    | st.binary(max_size=3),
    max_size=80,
).map(b"".join)
HEADER = st.text(st.characters(max_codepoint=0xFF), max_size=80)
BASICISH = st.builds(
    lambda scheme, space, value: scheme + space + value,
    st.sampled_from(["Basic", "basic", "BASIC", "Bearer", "", " Basic"]),
    st.sampled_from(["", " ", "  ", "\t"]),
    HEADER | st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
)


@profile
@given(PARAMETERS, RESOURCES)
def test_what_a_form_says_is_what_is_read(parameters: dict[str, str], resources: list[str]) -> None:
    """Every parameter of a well-formed body arrives as it was sent, and every resource in its order."""
    pairs = [*parameters.items(), *(("resource", resource) for resource in resources)]
    form = parse_form(urlencode(pairs).encode())
    assert form == Form(parameters, tuple(resources))


@profile
@given(PARAMETERS)
def test_a_space_may_be_a_plus_or_an_escape(parameters: dict[str, str]) -> None:
    """Both ways to write a space say the same."""
    assert parse_form(urlencode(parameters).encode()) == parse_form(
        urlencode(parameters, quote_via=quote).encode()
    )


@profile
@given(st.permutations(["grant_type", "scope", "client_id", "x"]), st.data())
def test_the_order_of_parameters_says_nothing(names: list[str], data: st.DataObject) -> None:
    """Two bodies with the same parameters in another order are the same request."""
    values = {name: data.draw(VALUE) for name in names}
    shuffled = {name: values[name] for name in sorted(names)}
    assert parse_form(urlencode(values).encode()) == parse_form(urlencode(shuffled).encode())


@profile
@given(PARAMETERS, st.sets(NAME, max_size=5))
def test_a_parameter_without_a_value_is_as_good_as_left_out(
    parameters: dict[str, str], empty: set[str]
) -> None:
    """An empty value changes nothing, also beside a full one of the same name (RFC 6749 §3.2)."""
    body = urlencode([*((name, "") for name in empty), *parameters.items()]).encode()
    assert parse_form(body) == Form(parameters)


@profile
@given(PARAMETERS.filter(bool), st.data())
def test_a_repeated_parameter_is_always_refused(parameters: dict[str, str], data: st.DataObject) -> None:
    """Whatever is repeated, wherever and with whichever value: nobody is left to guess which one counts."""
    pairs = list(parameters.items())
    name = data.draw(st.sampled_from(sorted(parameters)))
    pairs.insert(data.draw(st.integers(0, len(pairs))), (name, data.draw(VALUE)))
    with pytest.raises(RepeatedParameter):
        parse_form(urlencode(pairs).encode())


@profile
@given(st.integers(MAX_PARAMETERS + 1, 200), NAME, VALUE)
def test_more_than_32_parameters_are_always_refused(count: int, name: str, value: str) -> None:
    """A long form is refused by its length alone, whatever it says."""
    with pytest.raises(TooManyParameters):
        parse_form(b"&".join([urlencode({name: value}).encode()] * count))


@profile
@given(st.binary(max_size=300) | FORMISH)
@example(b"%")
@example(b"=&=&=")
@example(b"\xed\xa0\x80=1")
def test_every_body_is_a_form_or_an_oauth_error(body: bytes) -> None:
    """No bytes make a 500: they are read, without surrogates and empty values, or refused."""
    try:
        form = parse_form(body)
    except OAuthError:
        return
    texts = [*form.parameters, *form.parameters.values(), *form.resources]
    "".join(texts).encode("utf-8")
    assert all([*form.parameters.values(), *form.resources])
    assert "resource" not in form.parameters


@profile
@given(NAME, LETTERS, NO_UTF_8, LETTERS)
def test_bytes_that_are_no_utf_8_are_always_refused(
    name: str, before: bytes, wrong: bytes, after: bytes
) -> None:
    """Bytes are never guessed at: neither bare nor percent-encoded, neither in a value nor in a name."""
    text = before + wrong + after
    for body in (text, quote(text).encode()):
        for pair in (quote(name).encode() + b"=" + body, body + b"=x"):
            with pytest.raises(UndecodableForm):
                parse_form(pair)


@profile
@given(st.lists(TEXT, max_size=3))
def test_only_one_content_type_passes(values: list[str]) -> None:
    """What is not the form's media type is refused, however many headers say so."""
    with pytest.raises(NotAForm):
        check_content_type(values)


@profile
@given(
    st.sampled_from(["", ";", "; ", ";charset=utf-8", '; charset="UTF-8"', " ; charset=Utf-8 ;"]),
    st.lists(st.booleans(), min_size=len(MEDIA_TYPE), max_size=len(MEDIA_TYPE)),
)
def test_the_forms_media_type_passes_in_every_case_of_letters(parameter: str, capitals: list[bool]) -> None:
    """Media types know no case, and utf-8 is the one charset that a client may name."""
    letters = (letter.upper() if up else letter for letter, up in zip(MEDIA_TYPE, capitals, strict=True))
    check_content_type(["".join(letters) + parameter])


@profile
@given(
    st.from_regex(r"[a-z]{1,8}(=[a-z0-9-]{0,8})?", fullmatch=True).filter(
        lambda text: text != "charset=utf-8"
    )
)
@example("charset=utf-7")
@example("boundary=b")
@example("charset=utf-8 charset=x")
def test_no_other_parameter_of_the_media_type_passes(parameter: str) -> None:
    """A boundary, another charset or noise after the media type is refused."""
    with pytest.raises(NotAForm):
        check_content_type([f"{MEDIA_TYPE};{parameter}"])


@profile
@given(CLIENT_ID, SECRET)
@example("a:b", "c:d")
@example("+", "%")
@example("%2B", "a b")
@example(" ", " ")
def test_every_id_and_secret_gets_through_basic(client_id: str, secret: str) -> None:
    """Form-encoded as RFC 6749 §2.3.1 asks, every printable id and secret arrives, colons and signs included."""
    expected = Credentials(client_id, secret)
    for encode in (quote_plus, quote):
        header = _basic(f"{encode(client_id, safe='')}:{encode(secret, safe='')}")
        assert presented_credentials([header], Form({})) == expected
    assert presented_credentials([], Form({"client_id": client_id, "client_secret": secret})) == expected


@profile
@given(CLIENT_ID, SECRET)
def test_every_id_and_secret_gets_through_the_body(client_id: str, secret: str) -> None:
    """The same in the body, where the form itself is the encoding."""
    form = parse_form(urlencode({"client_id": client_id, "client_secret": secret}).encode())
    assert presented_credentials([], form) == Credentials(client_id, secret)


@profile
@given(
    st.text(st.sampled_from("abcXYZ019-._~"), min_size=1, max_size=255),
    st.text(st.sampled_from("abcXYZ019-._~:"), min_size=1, max_size=300),
)
def test_clients_that_forget_to_encode_are_understood_where_it_makes_no_difference(
    client_id: str, secret: str
) -> None:
    """What `curl -u` sends as it is arrives: an id without a colon, and every secret that we make."""
    assert presented_credentials([_basic(f"{client_id}:{secret}")], Form({})) == Credentials(
        client_id, secret
    )


@profile
@given(st.lists(HEADER | BASICISH, max_size=3), PARAMETERS)
def test_every_header_is_credentials_or_an_oauth_error(
    headers: list[str], parameters: dict[str, str]
) -> None:
    """No Authorization header makes a 500, and what passes is printable ASCII, fit for PostgreSQL."""
    try:
        credentials = presented_credentials(headers, Form(parameters))
    except OAuthError:
        return
    both = credentials.client_id + credentials.unverified_secret
    assert credentials.client_id
    assert credentials.unverified_secret
    assert all(" " <= character <= "~" for character in both)


@profile
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda text: not text.isascii() or not text.isprintable()
    )
)
def test_what_is_not_printable_ascii_is_never_looked_up(text: str) -> None:
    """NUL, control characters and everything beyond ASCII are refused as an id and as a secret, in header and body."""
    for client_id, secret in ((text, "x"), ("x", text)):
        with pytest.raises(OAuthError):
            presented_credentials([], Form({"client_id": client_id, "client_secret": secret}))
        with pytest.raises(OAuthError):
            presented_credentials([_basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")], Form({}))


@profile
@given(CLIENT_ID, SECRET, SECRET, CLIENT_ID)
def test_one_request_has_one_identity(client_id: str, secret: str, second: str, other: str) -> None:
    """Two headers, two secrets or two ids are refused, equal or not (RFC 6749 §2.3)."""
    header = _basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    with pytest.raises(RepeatedAuthorization):
        presented_credentials([header, header], Form({}))
    for body_secret in (secret, second):
        with pytest.raises(TwoAuthenticationMethods):
            presented_credentials([header], Form({"client_id": client_id, "client_secret": body_secret}))
    named = Form({"client_id": other})
    if other == client_id:
        assert presented_credentials([header], named) == Credentials(client_id, secret)
    else:
        with pytest.raises(DifferentClientIds):
            presented_credentials([header], named)


@profile
@given(
    st.one_of(
        st.just({}),
        CLIENT_ID.map(lambda text: {"client_id": text}),
        SECRET.map(lambda text: {"client_secret": text}),
    )
)
def test_half_of_the_credentials_is_none(parameters: dict[str, str]) -> None:
    """An id or a secret alone authenticates nobody."""
    with pytest.raises(InvalidClient):
        presented_credentials([], Form(parameters))


@profile
@given(CLIENT_ID, SECRET)
def test_a_secret_is_never_in_a_repr(client_id: str, secret: str) -> None:
    """What is printed by mistake tells no secret: neither the form nor the credentials show one."""
    secret = f"<<{secret}>>"
    form = parse_form(urlencode({"client_id": client_id, "client_secret": secret}).encode())
    assert secret not in repr(form)
    assert secret not in repr(presented_credentials([], form))


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()
