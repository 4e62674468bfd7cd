"""Credentials in URLs: found, taken off, masked."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import ExtensionError
from metaflow_extensions.netflix_ext.engine.secret import has_credentials, redact, strip_credentials

SECRET = [
    ("https://user:s3cret@example.org/a", "https://example.org/a", "https://****@example.org/a"),
    ("https://s3cret@example.org/a", "https://example.org/a", "https://****@example.org/a"),
    ("HTTPS://u:s3cret@example.org:8080", "HTTPS://example.org:8080", "HTTPS://****@example.org:8080"),
    ("https://u:s3@cret@example.org/a", "https://example.org/a", "https://****@example.org/a"),
    ("https://u:s3'cret\"@example.org/a", "https://example.org/a", "https://****@example.org/a"),
    ("https://example.org/t/s3cret/a", "https://example.org/a", "https://example.org/t/****/a"),
    ("https://example.org/t/s3cret", "https://example.org", "https://example.org/t/****"),
    ("https://u:p@example.org/t/s3cret/a", "https://example.org/a", "https://****@example.org/t/****/a"),
    ("git+https://u:s3cret@example.org/a@v1", "git+https://example.org/a@v1", "git+https://****@example.org/a@v1"),
    ("git+ssh://git:s3cret@example.org/a", "git+ssh://git@example.org/a", "git+ssh://****@example.org/a"),
    ("https://u:s3cret@[::1", "https://[::1", "https://****@[::1"),
]
PLAIN = [
    "",
    "conda-forge",
    "https://example.org/a",
    "https://example.org/a?x=1&y=#z",
    "https://example.org/a@1.0",
    "https://example.org/source/t/torch/torch-1.0.tar.gz",
    "git+ssh://git@example.org/a",
    "file:///tmp/t/a",
    "user@example.org",
    "https://[bad",
]


@pytest.mark.parametrize(("url", "clean", "masked"), SECRET)
def test_credentials_come_off(url: str, clean: str, masked: str) -> None:
    """A user, a password and conda's token are found, taken off, and masked."""
    assert has_credentials(url)
    assert clean == strip_credentials(url)
    assert clean == strip_credentials(strip_credentials(url))
    assert masked == redact(url)
    assert "s3" not in redact(url)


@pytest.mark.parametrize("url", PLAIN)
def test_what_holds_no_secret_stays(url: str) -> None:
    """A URL without credentials is not changed by a character."""
    assert not has_credentials(url)
    assert url == strip_credentials(url)
    assert url == redact(url)


def test_every_url_in_a_text_is_masked() -> None:
    """In a longer text all URLs are masked and the rest stays."""
    text = "tried 'https://u:s3cret@a.example/x', then (https://b.example/t/s3cret/y)\nuser@c.example"

    expected = "tried 'https://****@a.example/x', then (https://b.example/t/****/y)\nuser@c.example"
    assert expected == redact(text)


def test_an_error_never_tells_a_secret() -> None:
    """Message, hint, text and arguments of any error are masked."""
    error = ExtensionError("no https://u:s3cret@example.org/a", "try https://u:s3cret@example.org/b")

    assert str(error) == "no https://****@example.org/a\n\nhint: try https://****@example.org/b"
    assert "s3cret" not in repr(error)
    assert "s3cret" not in error.message + error.hint
