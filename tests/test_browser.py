"""The course in a real browser: `make lab` is started, chapters are opened and run, sliders are moved.

Chromium is driven by Playwright; where there is no Chromium the test is skipped and says so. No request may
leave this machine.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
TIMEOUT = 60_000  # milliseconds, for the page to answer on a busy machine
CHAPTER = 300_000  # milliseconds, for a chapter to run: a minute on two free cores

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ROOT / ".venv/gennet-stamp").exists(), reason="make has not made .venv"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start `make lab` without a display; give the address that it prints. The chapters are not saved."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    settings = home / ".jupyter/lab/user-settings/@jupyterlab/docmanager-extension"
    settings.mkdir(parents=True)
    (settings / "plugin.jupyterlab-settings").write_text('{"autosave": false}')
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"PORT": str(port), "HOME": str(home), "GENNET_HOME": str(home)}
    log = home / "lab.log"
    server = subprocess.Popen(
        ["make", "lab"],
        cwd=ROOT,
        env=environment,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        yield printed_address(server, log, port)
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=20)


def printed_address(server: subprocess.Popen, log: Path, port: int) -> str:
    """Wait up to a minute for the address with its token."""
    for _ in range(240):
        address = re.search(rf"http://(?:localhost|127\.0\.0\.1):{port}/lab/\S+", log.read_text())
        if address:
            return address[0]
        if server.poll() is not None:
            break
        time.sleep(0.25)
    raise AssertionError(f"make lab printed no address:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, lab: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.set_default_timeout(TIMEOUT)
    strangers = []
    page.on("request", lambda request: strangers.append(request.url) if leaves(request.url) else None)
    yield page
    page.close()
    assert not strangers, "requests that left this machine"


def leaves(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname not in (
        "localhost",
        "127.0.0.1",
    )


def open_notebook(page: Page, lab: str, name: str) -> None:
    """Open a notebook alone on the page and wait until its kernel is there."""
    base, token = lab.split("/lab/")[0], lab.split("token=")[1]
    page.goto(f"{base}/doc/tree/{name}?token={token}")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function("document.querySelector('#jp-main-statusbar')?.innerText.includes('Idle')")


def run_all(page: Page) -> None:
    """Run all cells and wait until the last code cell has its number again and the kernel rests."""
    page.wait_for_timeout(1000)  # a Run All before the kernel is connected is lost
    page.keyboard.press("Escape")
    page.click(".lm-MenuBar-item:has-text('Kernel')")
    page.click(".lm-Menu-item:has-text('Restart Kernel and Run All Cells')")
    page.click(".jp-Dialog button:has-text('Restart')")
    page.wait_for_timeout(1000)
    page.wait_for_function(
        """() => {
            const idle = document.querySelector('#jp-main-statusbar').innerText.includes('Idle');
            const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
            return idle && prompts.length && prompts.every(p => /\\[\\d+\\]/.test(p.textContent));
        }""",
        timeout=CHAPTER,
    )


def panel(page: Page) -> Locator:
    found = page.locator(".jp-OutputArea-output .widget-vbox").first
    found.scroll_into_view_if_needed()
    return found


def wait_for_change(page: Page, picture: Locator, before: str) -> None:
    image = picture.element_handle()
    page.wait_for_function("([image, before]) => image.src !== before", arg=[image, before])


def test_lab_opens_on_the_first_chapter(page: Page, lab: str):
    assert "/lab/tree/chapters/00_start_here.ipynb?token=" in lab
    page.goto(lab)
    page.wait_for_selector("h1:has-text('Start here')")
    page.wait_for_timeout(2000)
    assert page.locator(".jp-Dialog").count() == 0, "no question before the first chapter"
    assert page.locator(".Toastify__toast").count() == 0, "no question about news"


@pytest.mark.parametrize("chapter", sorted(path.name for path in (ROOT / "chapters").glob("*.ipynb")))
def test_chapter_runs_and_its_panel_moves(page: Page, lab: str, chapter: str):
    open_notebook(page, lab, f"chapters/{chapter}")
    run_all(page)
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    controls = panel(page)
    picture, slider = controls.locator("img.widget-image"), controls.locator(".noUi-handle").first

    before = picture.get_attribute("src")
    slider.focus()
    slider.press("ArrowRight")
    wait_for_change(page, picture, before)

    before = picture.get_attribute("src")
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=5)
    page.mouse.up()
    wait_for_change(page, picture, before)


def test_panel_stands_without_a_kernel(page: Page, lab: str):
    """Before anything is run, the stored picture of the panel and what it could move are shown."""
    open_notebook(page, lab, "chapters/00_start_here.ipynb")
    still = page.locator(".jp-CodeCell:has-text('Panel(draw') .jp-RenderedImage img")
    still.scroll_into_view_if_needed()
    assert still.evaluate("image => image.complete && image.naturalWidth > 300")
