"""Certificates for servers of our own that listen encrypted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.servers import NoServer


def certify(directory: Path) -> None:
    """Make an issuer (``ca``), a certificate of it for localhost (``server``), and an issuer of nothing (``other``):
    ``.crt`` and ``.key`` of each.

    Raises:
        NoServer: There is no openssl program.
    """
    if shutil.which("openssl") is None:
        raise NoServer("no openssl program; install openssl")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        _openssl(
            directory,
            *("req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt"),
        )
    _openssl(
        directory,
        *("req", *new_key, "-subj", "/CN=localhost"),
        *("-keyout", "server.key", "-out", "server.csr"),
    )
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    _openssl(
        directory,
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt"),
    )


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
