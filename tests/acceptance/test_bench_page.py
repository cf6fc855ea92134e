"""The report of a bench in a real browser, without a server: on a desk and on a telephone, light and dark. Pictures are
left in ``target/screenshots``.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.browser import Page, chromium
from tests.support.workers import command


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of three kinds of tasks."""
    path = tmp_path_factory.mktemp("bench") / "report.html"
    options = ("--rate", "40", "--duration", "1500ms", "--warm-up", "500ms", "--repeats", "2")
    run = (command("fastworker"), "bench", "run", "-w", "mixed", *options, "--html", str(path))
    # Whether the machine was quiet enough for a valid run is not asked here.
    subprocess.run(run, cwd=path.parent, check=False, capture_output=True, timeout=100)
    return path


@pytest.fixture(scope="module")
def sweep_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a grid of two, with a law for one of them at least."""
    path = tmp_path_factory.mktemp("sweep") / "report.html"
    axes = ("--over", "concurrency=1,2,3,4", "--over", "prefetch=1,4")
    brief = ("--duration", "400ms", "--warm-up", "200ms", "--repeats", "1", "--mean", "10ms")
    run = (
        command("fastworker"),
        "bench",
        "sweep",
        "-w",
        "sleep",
        *axes,
        *brief,
        "--html",
        str(path),
    )
    subprocess.run(run, cwd=path.parent, check=True, capture_output=True, timeout=100)
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; skips (fails in CI) when there is none."""
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(chromium(tmp_path_factory.mktemp("browser")))
        except servers.NoServer as error:
            if servers.is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield opened


def _show(driver: Any, report: Path, width: int, scheme: str) -> Page:
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_of = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_of)
    # What is not in the file is not there.
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    return Page(driver, "").open(report.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_fits_its_screen(driver: Any, report: Path, width: int, scheme: str) -> None:
    page = _show(driver, report, width, scheme)
    page.see("h1", "fastworker bench: mixed")
    page.picture(f"bench-{width}-{scheme}")
    # Tables scroll by themselves; the page does not.
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert not page.errors()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_of_a_sweep_fits_its_screen(
    driver: Any, sweep_report: Path, width: int, scheme: str
) -> None:
    page = _show(driver, sweep_report, width, scheme)
    page.see("h1", "fastworker bench sweep: sleep")
    page.picture(f"sweep-{width}-{scheme}")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert not page.errors()
    assert driver.execute_script("return document.querySelectorAll('circle').length") == 8
    inside = driver.execute_script(
        "return [...document.querySelectorAll('svg text, circle, polyline, polygon')].every(drawn => {"
        " const box = drawn.getBBox(), view = drawn.ownerSVGElement.viewBox.baseVal;"
        " return box.x >= -1 && box.y >= -1 && box.x + box.width <= view.width + 1"
        " && box.y + box.height <= view.height + 1; })"
    )
    assert inside


def test_every_task_has_its_curves_and_its_table(driver: Any, report: Path) -> None:
    page = _show(driver, report, 1280, "light")
    for name in ("bench.noop", "bench.sleep"):
        assert name in page.text("body")
    curves = driver.execute_script("return document.querySelectorAll('polyline').length")
    # Seven stages of each task, and two repeats.
    assert curves >= 2 * 7 + 2
    inside = driver.execute_script(
        "return [...document.querySelectorAll('polyline')].every(line => {"
        " const box = line.getBBox(), view = line.ownerSVGElement.viewBox.baseVal;"
        " return box.x >= 0 && box.y >= 0 && box.x + box.width <= view.width"
        " && box.y + box.height <= view.height; })"
    )
    assert inside


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "sweep_report"])
def test_text_stands_out_from_its_ground(
    request: pytest.FixtureRequest, driver: Any, which: str, scheme: str
) -> None:
    _show(driver, request.getfixturevalue(which), 1280, scheme)
    ratio = driver.execute_script(
        """
        const light = colour => {
            const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(part => {
                const share = part / 255;
                return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = light(getComputedStyle(document.body).backgroundColor);
        const ratios = [...document.querySelectorAll('p, td, th, .soft, svg text')].map(element => {
            const style = getComputedStyle(element);
            const ink = light(element.matches('svg text') ? style.fill : style.color);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        });
        return Math.min(...ratios);
        """
    )
    # WCAG 2.2, 1.4.3: at least 4.5.
    assert ratio >= 4.5
