"""Who may ask: tokens, and without one this machine's programs, but no web page."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_node.access import TokenError, read_token, refusal

LOCAL = "127.0.0.1:7947"


def test_a_token_opens() -> None:
    assert refusal("s3cret", "Bearer s3cret", "anything.example", "http://page.example") is None
    assert refusal("s3cret", "bearer  s3cret ", None, None) is None


@given(st.text())
def test_no_other_token_opens(given_token: str) -> None:
    refused = refusal("s3cret", f"Bearer {given_token}", LOCAL, None)
    assert (refused is None) == (given_token.strip() == "s3cret")


@pytest.mark.parametrize("header", [None, "", "s3cret", "Basic s3cret"])
def test_a_missing_token_is_asked_for(header: str | None) -> None:
    assert refusal("s3cret", header, LOCAL, None) == (401, "a token is needed: send it as `Authorization: Bearer TOKEN`")


@pytest.mark.parametrize("host", [LOCAL, "localhost", "LOCALHOST:1", "[::1]:7947", "127.8.9.1"])
def test_without_a_token_this_machine_may_ask(host: str) -> None:
    assert refusal(None, None, host, None) is None


@pytest.mark.parametrize(
    "host", [None, "", "10.0.0.1:7947", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "[::2]"]
)
def test_without_a_token_a_foreign_name_is_refused(host: str | None) -> None:
    refused = refusal(None, None, host, None)
    assert refused is not None
    assert refused[0] == 403
    assert "only this machine may ask" in refused[1]


def test_without_a_token_a_web_page_is_refused() -> None:
    assert refusal(None, None, LOCAL, "http://evil.example") == (
        403,
        "no token is set, so web pages may not ask; give the agent an HTTP token",
    )


def test_a_token_is_read_without_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" s3cret\n")
    assert read_token(path) == "s3cret"


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "found 0"), (b"two tokens", "found 2"), (b"one\ntwo", "found 2"), (b"\xc3\xa9", "plain ASCII")]
)
def test_what_is_no_token_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(TokenError, match=message):
        read_token(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=f"cannot read the HTTP token in {tmp_path / 'none'}: No such file"):
        read_token(tmp_path / "none")
