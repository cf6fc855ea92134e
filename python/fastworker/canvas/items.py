"""Properties that are items of a signature: it is a dict, and its parts have names too."""

from __future__ import annotations

from typing import Any


def item(key: str, doc: str) -> Any:
    """A property that is the signature's item ``key``."""

    def get(sig: dict[str, Any]) -> Any:
        return sig.get(key)

    def put(sig: dict[str, Any], value: Any) -> None:
        sig[key] = value

    return property(get, put, doc=doc)


def option(key: str, doc: str) -> Any:
    """A property that is the signature's option ``key``, None when it has none."""

    def get(sig: dict[str, Any]) -> Any:
        return sig["options"].get(key)

    def put(sig: dict[str, Any], value: Any) -> None:
        sig["options"][key] = value

    return property(get, put, doc=doc)


def part(key: str, doc: str) -> Any:
    """A property that is the signature's keyword argument ``key``: what a composed signature is made of."""

    def get(sig: dict[str, Any]) -> Any:
        return sig["kwargs"][key]

    def put(sig: dict[str, Any], value: Any) -> None:
        sig["kwargs"][key] = value

    return property(get, put, doc=doc)
