"""Secrets do not appear in what we print: banners, reports, error messages, ``repr(app.conf)``.

When in doubt a value is masked: a password in the middle of a malformed URL costs more than an
unreadable report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastworker.app.settings_registry import REGISTRY

MASK = "********"

# Celery's list; it applies to names that are in no table of ours, and inside dicts.
_SECRET_NAME = re.compile(
    r"API|TOKEN|KEY|SECRET|PASS|PROFANITIES_LIST|SIGNATURE|DATABASE|BEAT_DBURI", re.IGNORECASE
)
_INNOCENT = frozenset({"global_keyprefix"})
_SECRET_PARAMETER = re.compile(
    r"((?:^|[?&;])(?:password|passwd|pwd|secret|token|sig|api_?key|access_?key|accountkey|sharedaccesssignature"
    r"|[a-z_]*(?:password|secret|token))=)[^&;#]*",
    re.IGNORECASE,
)


def masked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``settings`` with secret values and the passwords in URLs replaced by asterisks."""
    return {name: _masked_value(name, value) for name, value in settings.items()}


def mask_url(url: str) -> str:
    """``url`` (or several, joined with ``;``) with its password and secret parameters masked."""
    return ";".join(_mask_one(part) for part in re.split(r";(?=[\w+.-]+://)", url))


def _mask_one(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        return _mask_parameters(url)
    return f"{scheme}://{_mask_parameters(_mask_user(rest))}"


def _mask_parameters(text: str) -> str:
    return _SECRET_PARAMETER.sub(rf"\g<1>{MASK}", text)


def _mask_user(rest: str) -> str:
    """Mask from the first colon to the last ``@`` of ``user:password@host/path``."""
    authority_ends = min((rest.find(c) for c in "/?#" if c in rest), default=len(rest))
    at = rest.rfind("@", 0, authority_ends)
    if at < 0 and ":" in rest[:authority_ends]:
        at = rest.rfind("@")  # an unquoted '/', '?' or '#' in the password
    if at < 0:
        return rest
    user, colon, _ = rest[:at].partition(":")
    return f"{user}:{MASK}{rest[at:]}" if colon else rest


def _masked_value(name: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(name, str) and _is_secret(name):
        return MASK
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, str):
        return mask_url(value)
    if isinstance(value, list | tuple):
        items = [_masked_value(None, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _is_secret(name: str) -> bool:
    if name in _INNOCENT:
        return False
    row = REGISTRY.get(name)
    return bool(_SECRET_NAME.search(name)) if row is None else row.is_secret
