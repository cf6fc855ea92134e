"""What the global options say, shared by all commands."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@dataclass
class Session:
    """One run of the command.

    Attributes:
        spec: What ``-A`` named.
        no_color: No colour in what is printed.
        quiet: Print results only.
        given: The application, when it runs the command line itself (``app.start()``).
        workdir: Where the command was given, before ``--workdir``.
        arguments: The command line, without the program's name.
    """

    spec: str | None = None
    no_color: bool = False
    quiet: bool = False
    given: FastWorker | None = None
    workdir: str = field(default_factory=os.getcwd)
    arguments: tuple[str, ...] = ()
    _found: FastWorker | None = field(default=None, repr=False)

    @property
    def app(self) -> FastWorker:
        """The application; imported at first use, so that ``--help`` needs none.

        Raises:
            click.UsageError: Nothing says which one.
            AppNotFound, AppImportFailed: As ``find_app``.
        """
        if self.given is not None and not self.spec:
            return self.given
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> FastWorker:
        if self.spec:
            from fastworker.cli.app_lookup import find_app

            return find_app(self.spec)
        if not any(from_environment(name) for name in ("BROKER_URL", "CONFIG_MODULE")):
            raise click.UsageError(
                "no application: name its module with -A, such as: fastworker -A tasks worker"
            )
        from fastworker.app.app import FastWorker
        from fastworker.cli.app_lookup import put_working_directory_on_path

        put_working_directory_on_path()
        return FastWorker("default")

    def say(self, text: str) -> None:
        """Print something that is not the result: a heading, a confirmation. Nothing when quiet."""
        if not self.quiet:
            click.echo(text)


def from_environment(name: str) -> str | None:
    """``FASTWORKER_<name>``, else ``CELERY_<name>``, as the settings read it."""
    from fastworker.app.settings_derived import from_environment as read

    return read(name)


def export(name: str, value: str | None) -> None:
    """Hand an option on to every process of this run, as an environment variable that the settings
    read.
    """
    if value is not None:
        os.environ[f"FASTWORKER_{name}"] = value


def complain(text: str) -> None:
    """Print an error on standard error."""
    print(text, file=sys.stderr)


pass_session = click.make_pass_decorator(Session, ensure=True)
