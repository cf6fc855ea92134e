"""Which broker and which result store an application uses, and why; the default needs no server and
no setting.

The default is a SQLite file ``.fastworker/queue.db`` beside the module that created the
application, so that a web process and a worker find the same one from any working directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastworker.app import amqp, broker_urls, connection_options
from fastworker.app.queues import queue_table
from fastworker.errors import ImproperlyConfigured, OperationalError
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.app.link import Address
    from fastworker.app.settings import Settings

_DIRECTORY = ".fastworker"
_FILE = "queue.db"


class BrokerChoice:
    """The broker of one application.

    Args:
        conf: Its settings.
        home: Directory of the module that created it.
        home_reason: How that was found, for people.
    """

    def __init__(self, conf: Settings, home: str, home_reason: str) -> None:
        self._conf = conf
        self._home = home
        self._home_reason = home_reason
        self._options: tuple[int, dict[str, str]] | None = None
        #: By setting: version of the settings, what it says, and the URLs that come of it.
        self._urls: dict[str, tuple[int, Any, str]] = {}

    @property
    def default_url(self) -> str:
        """The file that is used when nothing is configured."""
        from urllib.parse import quote  # 2 ms, and most applications name a broker

        path = os.path.join(self._home, _DIRECTORY, _FILE)
        return f"sqlite:///{quote(path)}"

    @property
    def url(self) -> str:
        """Where messages are published to and fetched from; several to be tried in turn have ``;`` between them."""
        return self._url_of("broker_url")

    @property
    def read_url(self) -> str:
        """Where workers fetch from."""
        return self._url_of("broker_read_url")

    @property
    def write_url(self) -> str:
        """Where tasks are published to."""
        return self._url_of("broker_write_url")

    def _url_of(self, setting: str) -> str:
        """Found once for each change of the settings: a strategy may draw."""
        said = self._conf[setting]  # loads the settings, which is a change of them
        version = self._conf.version
        found = self._urls.get(setting)
        if found is None or found[:2] != (version, said):
            urls = ";".join(broker_urls.ordered(self._conf, said))
            found = self._urls[setting] = version, said, urls or self.default_url
        return found[2]

    @property
    def read_address(self) -> Address:
        """``read_url`` with its options."""
        return self.read_url, self.options

    @property
    def write_address(self) -> Address:
        """``write_url`` with its options."""
        return self.write_url, self.options

    @property
    def reason(self) -> str:
        """Why this broker, for the banner."""
        for name in ("FASTWORKER_BROKER_URL", "CELERY_BROKER_URL"):
            if os.environ.get(name):
                return f"environment variable {name}"
        if self._conf.broker_url:
            return "setting broker_url"
        if self.url != self.default_url:
            return "settings of the broker's parts"
        return f"no broker is configured: a file {self._home_reason}"

    @property
    def options(self) -> dict[str, str]:
        """``broker_transport_options`` as text, other settings of connections, and what else RabbitMQ has to know."""
        version = self._conf.version
        if self._options is None or self._options[0] != version:
            self._options = version, self.options_of(self.read_url, self.write_url)
        return dict(self._options[1])

    def options_of(self, *urls: str) -> dict[str, str]:
        """``options`` for the brokers of these URLs."""
        options = {
            **connection_options.of_broker(self._conf),
            **as_text(self._conf.broker_transport_options),
        }
        if any(amqp.is_amqp(url) for url in urls):
            options = {**amqp.options(self._conf, queue_table(self._conf)), **options}
        return options

    @property
    def result_url(self) -> str | None:
        """Where results are; None: they are not stored. Unless configured, those of a broker in a file or in memory
        are in the same place.

        Raises:
            ImproperlyConfigured: A kind of result store that fastworker does not have.
        """
        from fastworker.results.connect import store_url

        configured = self._conf.result_backend
        if configured:
            return store_url(self._conf, configured)
        return self.read_url if self.read_url.startswith(("sqlite:", "memory:")) else None

    @property
    def result_options(self) -> dict[str, str]:
        """``result_backend_transport_options`` as text, and other settings of connections; for ``rpc://`` how results
        are sent.
        """
        if is_rpc(self._conf.result_backend):
            serializer = registry.get(self._conf.result_serializer)
            return {
                "content_type": serializer.content_type,
                "content_encoding": serializer.content_encoding,
                "persistent": str(bool(self._conf.result_persistent)),
            }
        return {
            **connection_options.of_results(self._conf),
            **as_text(self._conf.result_backend_transport_options),
        }

    def reply_address(self, queue: str) -> Address:
        """The broker as results of ``rpc://`` come in by it, to this queue.

        Raises:
            ImproperlyConfigured: It is not RabbitMQ.
        """
        url, options = self.write_address
        if not amqp.is_amqp(url):
            raise ImproperlyConfigured(
                "result_backend 'rpc://' has results sent over RabbitMQ, and the broker is another one: name a broker "
                "such as amqp://localhost//, or a result_backend that keeps results"
            )
        expires = self._conf.result_expires
        seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
        lifetime = {"reply_expires_ms": str(int(seconds * 1000))} if seconds else {}
        return url, {**options, **lifetime, "reply_queue": queue}

    def prepare(self) -> None:
        """Make the directory of the default file.

        Raises:
            OperationalError: It cannot be made.
        """
        if self.default_url not in (self.read_url, self.write_url, self.result_url):
            return
        directory = os.path.join(self._home, _DIRECTORY)
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as exc:
            raise OperationalError(
                f"no broker is configured, and the directory {directory!r} for the default one "
                f"cannot be made: "
                f"{exc.strerror}; make it writable, or name a broker: FastWorker(…, "
                f'broker="redis://localhost:6379/0")'
            ) from exc


def find_home(main: str | None) -> tuple[str, str]:
    """The directory that belongs to an application, and how it was found.

    Looks at the code that is creating it (the nearest caller outside of this package), then at the
    module called ``main``, then takes the working directory (an interactive session).

    Returns:
        ``(absolute directory, reason)``.
    """
    frame = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != package and not name.startswith(f"{package}."):
            break
        frame = frame.f_back  # type: ignore[assignment]
    file = frame.f_globals.get("__file__") if frame is not None else None
    if not file:
        file = getattr(sys.modules.get(main or ""), "__file__", None)
    if not file:
        return os.getcwd(), "in the working directory"
    return os.path.dirname(
        os.path.abspath(file)
    ), f"beside {os.path.basename(file)}, which creates the application"


def as_text(options: Mapping[str, Any] | None) -> dict[str, str]:
    """Options for the Rust half: every value as ``str`` writes it; those that are None are left
    out.
    """
    return {str(name): str(value) for name, value in (options or {}).items() if value is not None}


def is_rpc(result_backend: Any) -> bool:
    """Whether results are messages to the client that asked."""
    return isinstance(result_backend, str) and result_backend.partition("://")[0] == "rpc"
