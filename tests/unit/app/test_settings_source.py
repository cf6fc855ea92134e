"""Configuration from modules, objects and environment variables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastworker.app.settings_source import (
    as_mapping,
    environment_loader,
    name_from_envvar,
    object_loader,
)
from fastworker.errors import ImproperlyConfigured


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a configuration module of a name of its own."""
    known = set(sys.modules)
    (tmp_path / "fw_conf.py").write_text(
        "import os\n_private = 1\ntask_default_queue = 'a'\n"
        "class Prod:\n    task_default_queue = 'b'\n"
    )
    (tmp_path / "fw_broken.py").write_text("import fw_not_there\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("fw_"):
            del sys.modules[name]


def test_a_module_in_the_working_directory_is_found(project: Path) -> None:
    assert object_loader("fw_conf")()["task_default_queue"] == "a"


def test_modules_and_private_names_are_no_settings(project: Path) -> None:
    assert not {"os", "_private"} & object_loader("fw_conf")().keys()


@pytest.mark.parametrize("path", ["fw_conf:Prod", "fw_conf.Prod"])
def test_an_attribute_of_a_module_is_found(project: Path, path: str) -> None:
    assert object_loader(path)() == {"task_default_queue": "b"}


def test_a_dict_is_copied() -> None:
    source = {"a": 1}
    assert as_mapping(source) == source
    assert as_mapping(source) is not source


def test_a_missing_module_is_named(project: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="'fw_nowhere' was not found"):
        object_loader("fw_nowhere")()


def test_a_file_name_is_corrected(project: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="leave out the suffix: 'fw_conf'"):
        object_loader("fw_conf.py")()


def test_an_import_error_inside_the_module_comes_as_it_is(project: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="fw_not_there"):
        object_loader("fw_broken")()


def test_a_silent_source_that_is_missing_counts_as_empty(project: Path) -> None:
    assert object_loader("fw_nowhere", silent=True)() == {}


def test_the_environment_names_the_default_source(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_CONFIG_MODULE", raising=False)
    assert environment_loader() == {}
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "fw_conf")
    assert environment_loader()["task_default_queue"] == "a"


def test_an_unset_variable_is_an_error_unless_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FW_SETTINGS", raising=False)
    with pytest.raises(ImproperlyConfigured, match="'FW_SETTINGS' is not set"):
        name_from_envvar("FW_SETTINGS")
    assert name_from_envvar("FW_SETTINGS", silent=True) is None
