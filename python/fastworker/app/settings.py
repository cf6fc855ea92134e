"""``app.conf``: the settings of an application, read by attribute or by key.

Three layers answer, the first that knows wins::

    changes    what the constructor, ``app.conf.x = …`` and ``update`` set
    source     what ``config_from_object`` or ``config_from_envvar`` named; loaded at the first read
    defaults   ``add_defaults`` first, then the table (``settings_registry``)

Names are the table's inside and may be spelled any way Celery allows outside (``settings_keys``).
Every change raises ``version``, so that whoever derives something from settings (a task's message
plan) knows when to derive it again; a change *inside* a value (``conf.task_routes["a"] = …``) is
not seen and must be followed by an assignment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from typing import Any

from fastworker.app.legacy_settings import refuse_mixed_names
from fastworker.app.masking import masked
from fastworker.app.nearest import did_you_mean
from fastworker.app.settings_derived import DERIVED
from fastworker.app.settings_keys import canonical, canonical_mapping
from fastworker.app.settings_registry import DIFFERING, REGISTRY
from fastworker.errors import ImproperlyConfigured

Loader = Callable[[], Mapping[str, Any]]


class Settings(MutableMapping[str, Any]):
    """The settings of one application.

    Args:
        changes: Settings that win over the source; those that an application's constructor was
            given.
        loader: Called once, at the first read; returns the source as spelled by the user. None: no
            source.
        namespace: Prefix of the names in the source, such as ``"CELERY"``; its case is theirs.
        on_loaded: Called once after the source was loaded, when reading works; for
            ``on_after_configure``.
    """

    def __init__(
        self,
        *,
        changes: Mapping[str, Any] | None = None,
        loader: Loader | None = None,
        namespace: str | None = None,
        on_loaded: Callable[[Settings], None] | None = None,
    ) -> None:
        # Attribute assignment means "set a setting" here, so our own state goes into the dict.
        self.__dict__.update(
            _changes={},
            _own={},
            _spelled=set(),
            _source={},
            _source_names=frozenset(),
            _extra_defaults={},
            _defaults={},
            _loader=loader,
            _prefix=_as_prefix(namespace),
            _on_loaded=on_loaded,
            _is_loaded=False,
            _is_loading=False,
            _version=0,
            _lock=threading.RLock(),
        )
        self._changes.update(canonical_mapping(changes or {}, self._prefix))

    # -------------------------------------------------------------------------------------- reading

    def __getitem__(self, name: str) -> Any:
        """The value of a setting, under any of its spellings.

        Raises:
            KeyError: It is in no layer.
        """
        self._load()
        key = canonical(name, self._prefix)
        derive = DERIVED.get(key)
        return self._plain(key) if derive is None else derive(self._plain_or_none)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"no setting is called {name!r}{did_you_mean(name, self._known_names())}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        self._load()
        layers = (self._defaults, self._extra_defaults, self._source, self._changes)
        return iter(dict.fromkeys(name for layer in layers for name in layer))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        self._load()
        key = canonical(str(name), self._prefix)
        return any(key in layer for layer in self._layers())

    def first(self, *names: str) -> Any:
        """The first value among ``names`` that is not None; None when there is none."""
        return next((value for value in map(self.get, names) if value is not None), None)

    def get_by_parts(self, *parts: str) -> Any:
        """The setting whose name is ``parts`` joined with underscores, as in Celery."""
        return self["_".join(part for part in parts if part)]

    def find_value_for_key(self, name: str, namespace: str = "celery") -> Any:
        """A setting by its name without prefix: ``("disable_rate_limits", "worker")``."""
        for key in (f"{namespace.lower()}_{name.lower()}", name.lower()):
            if key in self:
                return self[key]
        return next(self[key] for key in REGISTRY if key.partition("_")[2] == name.lower())

    def value_set_for(self, name: str) -> bool:
        """Somebody set this: it does not come from the table."""
        self._load()
        key = canonical(name, self._prefix)
        return any(key in layer for layer in (self._changes, self._source, self._extra_defaults))

    @property
    def version(self) -> int:
        """Raised on every change; equal numbers mean equal settings."""
        return int(self._version)

    @property
    def changes(self) -> dict[str, Any]:
        """The first layer, by the table's names. To be read; assign through the settings."""
        return self._changes  # type: ignore[no-any-return]

    @property
    def defaults(self) -> dict[str, Any]:
        """What the table says, fastworker's own defaults included."""
        self._load()
        return self._defaults  # type: ignore[no-any-return]

    @property
    def namespace(self) -> str | None:
        """Prefix of the names in the source, without its underscore."""
        return self._prefix.rstrip("_") or None

    @property
    def names_as_spelled(self) -> frozenset[str]:
        """The names that the user wrote, in the source or in changes; for messages about them."""
        self._load()
        return frozenset(self._spelled | self._source_names | self._changes.keys())

    @property
    def is_loaded(self) -> bool:
        """The source was read."""
        return bool(self._is_loaded)

    # ------------------------------------------------------------------------------------- changing

    def __setitem__(self, name: str, value: Any) -> None:
        self._spelled.add(name)
        self._changes[canonical(name, self._prefix)] = value
        self._changed()

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delitem__(self, name: str) -> None:
        del self._changes[canonical(name, self._prefix)]
        self._changed()

    def __delattr__(self, name: str) -> None:
        del self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several; one change of ``version``, and no load of the source."""
        new = dict(*args, **kwargs)
        self._spelled.update(new)
        self._changes.update(canonical_mapping(new, self._prefix))
        self._changed()

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Set a setting that nobody has set; does not load the source unless it is needed."""
        key = canonical(name, self._prefix)
        if key not in self._changes:
            self[name] = default
        return self._changes[key]

    def pop(self, name: str, *default: Any) -> Any:
        """Take back a change and return it; what lies below shows again."""
        value = self._changes.pop(canonical(name, self._prefix), *default)
        self._changed()
        return value

    def clear(self) -> None:
        """Take back all changes."""
        self._changes.clear()
        self._changed()

    def add_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Put ``defaults`` under the source and above the table; a later call wins."""
        self._extra_defaults.update(canonical_mapping(defaults, self._prefix))
        self._changed()

    def use_source(self, loader: Loader, namespace: str | None = None) -> None:
        """Take another source; it is loaded at the next read.

        Changes made since the last source was loaded are dropped, those made before stay, as in
        Celery.

        Args:
            loader: As in the constructor.
            namespace: As in the constructor; None keeps the present one.
        """
        with self._lock:
            if self._is_loaded:
                self.__dict__["_changes"] = dict(self._own)
            self.__dict__.update(
                _loader=loader, _is_loaded=False, _source={}, _source_names=frozenset()
            )
            if namespace is not None:
                self.__dict__["_prefix"] = _as_prefix(namespace)
            self._changed()

    # -------------------------------------------------------------------------------------- showing

    def without_defaults(self) -> dict[str, Any]:
        """What somebody set, by the table's names."""
        self._load()
        return {**self._extra_defaults, **self._source, **self._changes}

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """The settings as a dict.

        Args:
            with_defaults: Also those that nobody set.
            censored: Passwords in URLs and the values of secret settings are masked.
        """
        shown = dict(self) if with_defaults else self.without_defaults()
        shown = {name: value for name, value in shown.items() if not self._is_foreign(name)}
        return masked(shown) if censored else shown

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """The same as lines of ``name: value``."""
        return "\n".join(f"{k}: {v!r}" for k, v in self.table(with_defaults, censored).items())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} version={self.version} {self.table()!r}>"
            if self._is_loaded
            else (f"<{type(self).__name__} version={self.version}, not loaded>")
        )

    def copy(self) -> Settings:
        """The same settings, loaded, in an object of their own."""
        self._load()
        twin = Settings(changes=self._changes, loader=lambda: dict(self._source))
        twin.__dict__["_extra_defaults"] = dict(self._extra_defaults)
        return twin

    __copy__ = copy

    # --------------------------------------------------------------------------------------- inside

    def _load(self) -> None:
        if self._is_loaded:
            return
        with self._lock:  # other threads wait; the loading thread itself (a hook) sees the changes
            if self._is_loaded or self._is_loading:
                return
            self.__dict__["_is_loading"] = True
            try:
                self._read_source()
            finally:
                self.__dict__["_is_loading"] = False
            self.__dict__["_is_loaded"] = True
        if self._on_loaded is not None:
            self._on_loaded(self)

    def _read_source(self) -> None:
        """Fill ``_source`` and ``_defaults``; changes are re-read under the final namespace."""
        self.__dict__["_defaults"] = _table_defaults()
        source = self._call_loader()
        if not self._prefix:
            refuse_mixed_names(source or self._spelled)
        self.__dict__.update(
            _source=canonical_mapping(source, self._prefix),
            _source_names=frozenset(source),
            _changes=canonical_mapping(self._changes, self._prefix),
        )
        self.__dict__["_own"] = dict(self._changes)
        self._changed()

    def _call_loader(self) -> dict[str, Any]:
        if self._loader is None:
            return {}
        try:
            return dict(self._loader())
        except (AttributeError, KeyError) as error:
            # Let through, these would look like "no such setting" to whoever reads one.
            raise ImproperlyConfigured(
                f"the configuration could not be read: {type(error).__name__}: {error}"
            ) from error

    def _changed(self) -> None:
        self.__dict__["_version"] += 1

    def _layers(self) -> tuple[dict[str, Any], ...]:
        return (self._changes, self._source, self._extra_defaults, self._defaults)

    def _plain(self, key: str) -> Any:
        for layer in self._layers():
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def _plain_or_none(self, key: str) -> Any:
        return next((layer[key] for layer in self._layers() if layer.get(key) is not None), None)

    def _is_foreign(self, name: str) -> bool:
        """Private, or of a settings module (Django's) of which only a prefix is meant for us."""
        return name.startswith("_") or (bool(self._prefix) and name.isupper())

    def _known_names(self) -> list[str]:
        return [*REGISTRY, *self._source]


def _as_prefix(namespace: str | None) -> str:
    return f"{namespace.rstrip('_')}_" if namespace else ""


def _table_defaults() -> dict[str, Any]:
    """Copies, so that an application that adds to a default dict does not add to everybody's."""
    defaults = {name: deepcopy(row.default) for name, row in REGISTRY.items()}
    defaults.update({name: deepcopy(difference.ours) for name, difference in DIFFERING.items()})
    return defaults
