"""Nothing that is shown contains a password."""

from __future__ import annotations

import pytest

from fastworker.app.masking import mask_url, masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:6379/0", "redis://:********@h:6379/0"),
        ("redis://u:p@w@h/0", "redis://u:********@h/0"),
        ("redis://u:p/w@h/0", "redis://u:********@h/0"),
        ("redis://u@h/0", "redis://u@h/0"),
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("sqlite:///srv/app@home/x.db", "sqlite:///srv/app@home/x.db"),
        (
            "sentinel://:a@h1:1;sentinel://:b@h2:2/0",
            "sentinel://:********@h1:1;sentinel://:********@h2:2/0",
        ),
        (
            "sentinel://:a@h1:1;h2:2;sentinel://:b@h3",
            "sentinel://:********@h1:1;h2:2;sentinel://:********@h3",
        ),
        ("mongodb://u:p@h1:1,h2:2/db", "mongodb://u:********@h1:1,h2:2/db"),
        ("cache+memcached://u:a@s1:1;u:b@s2:2/", "cache+memcached://u:********@s2:2/"),
        ("redis://h/0?password=a&x=1", "redis://h/0?password=********&x=1"),
        ("redis://h?ssl_keyfile_password=a", "redis://h?ssl_keyfile_password=********"),
        (
            "azureblockblob://AccountName=n;AccountKey=a==;X=y",
            "azureblockblob://AccountName=n;AccountKey=********;X=y",
        ),
        ("not a url", "not a url"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_secrets_are_masked_at_any_depth_and_flags_are_not() -> None:
    shown = masked(
        {"a": {"password": "x", "urls": ["redis://:x@h"]}, "secret_is_set": True, "n": 3}
    )
    assert shown == {
        "a": {"password": "********", "urls": ["redis://:********@h"]},
        "secret_is_set": True,
        "n": 3,
    }
