"""A real TensorBoard on logs, and a real Chromium that looks at its Curvecast tab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Locator, Page, expect, sync_playwright

from tests.curvecast_tensorboard.browser.demo import write_demo

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
PATIENCE = 60.0  # seconds for TensorBoard to start on a slow machine
WAIT = 60_000  # milliseconds for a page on a slow machine


def missing() -> str | None:
    """What a browser test needs and this machine lacks."""
    if not any(map(shutil.which, BROWSERS)):
        return f"no browser: looked for {', '.join(BROWSERS)}. On Debian: apt-get install chromium"
    if not any(point.name == "curvecast" for point in entry_points(group="tensorboard_plugins")):
        return "the installed curvecast has no TensorBoard plugin: pip install -e '.[dev]'"
    return None


@pytest.fixture(scope="package", autouse=True)
def _all_there() -> None:
    lack = missing()
    if lack is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must run the browser tests, but: {lack}")
    pytest.skip(lack)


@pytest.fixture
def shared_logs() -> Path:
    """Logs that other people's programs wrote, beside the checkout or one above it."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "logs").is_dir():
            return parent / "shared" / "logs"
    pytest.skip("the shared logs are not here")


@pytest.fixture(scope="package")
def browser(_all_there: None) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)))
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=flags)
        yield found
        found.close()


class Board:
    """A TensorBoard process on a folder of logs."""

    def __init__(self, logdir: Path, *, fast: bool = True) -> None:
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0"]
        command += ["--reload_interval", "1", f"--load_fast={str(fast).lower()}"]
        surroundings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=surroundings)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.url = self._wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.decode(errors="replace"))

    def _wait(self) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            if found := re.search(r" at (http://\S+?)/? ", "".join(self.said)):
                return found[1]
            time.sleep(0.05)
        self.close()
        raise RuntimeError("TensorBoard did not start:\n" + "".join(self.said))

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


StartBoard = Callable[..., Board]


@pytest.fixture
def start_board(_all_there: None) -> Iterator[StartBoard]:
    """Start a TensorBoard that ends with the test: it looks at its folder every second while it lives."""
    with ExitStack() as stack:

        def start(logdir: Path, *, fast: bool = True) -> Board:
            return stack.enter_context(closing(Board(logdir, fast=fast)))

        yield start


@pytest.fixture(scope="package")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's logs, which no test changes."""
    return write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="package")
def board(_all_there: None, logdir: Path) -> Iterator[Board]:
    """The TensorBoard on them that every test of a page without logs of its own looks at."""
    with closing(Board(logdir)) as board:
        yield board


class Tab:
    """The Curvecast tab of a TensorBoard in a window, and all that went wrong in it."""

    def __init__(self, page: Page, board: Board) -> None:
        self.page, self.board = page, board
        self.errors: list[str] = []
        page.set_default_timeout(WAIT)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def open(self, *, dark: bool = False, **state: object) -> FrameLocator:
        """Go to the tab; ``state`` is what its address keeps, such as ``view="Curve"``."""
        kept = f"&page={quote(json.dumps(state))}" if state else ""
        self.page.goto(f"{self.board.url}/?darkMode={str(dark).lower()}#curvecast{kept}")
        self.frame.locator("#app[data-ready]").wait_for()
        self.settled()
        return self.frame

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe[src*='name=curvecast']")

    def go(self, view: str) -> None:
        """Press a tab of the page, and wait until what it shows is there."""
        self.frame.get_by_role("tab", name=view, exact=True).click()
        self.settled()

    def settled(self) -> None:
        """Wait until no answer is outstanding."""
        self.frame.locator("#app[data-busy='0']").wait_for()

    def fact(self, name: str) -> str:
        """A number of the page, by its name."""
        return self.frame.locator(f"[data-fact={name}]").inner_text()

    def row(self, run: str) -> Locator:
        """A run's line in the table."""
        return self.frame.locator("#runs tbody tr").filter(has=self.frame.get_by_text(run, exact=True))

    def cell(self, run: str, name: str) -> str:
        return self.row(run).locator(f"[data-cell={name}]").inner_text()

    def picture(self, name: str) -> Path:
        """Keep a picture of the window for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.mouse.move(0, 0)  # away from what answers to it
        self.page.screenshot(path=path)
        return path


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Browser, start_board: StartBoard) -> Iterator[OpenTab]:
    """Open a window on a board, which outlives it; at the end nothing may have gone wrong in any."""
    with ExitStack() as stack:
        tabs: list[Tab] = []

        def open_(board: Board, *, width: int = 1280, height: int = 860) -> Tab:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
            stack.callback(context.close)
            tab = Tab(context.new_page(), board)
            tabs.append(tab)
            return tab

        yield open_
        errors = [error for tab in tabs for error in tab.errors]
        assert errors == []


@pytest.fixture
def tab(open_tab: OpenTab, board: Board) -> Tab:
    return open_tab(board)
