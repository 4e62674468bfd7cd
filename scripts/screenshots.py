"""Make the pictures of notebooks in docs/howto/images: open past tasks, execute their notebooks in JupyterLab, look.

Needs JupyterLab and selenium for the interpreter that runs this (`pip install jupyterlab selenium`), the interpreter of
the project as its first argument, and the programs chromium and chromedriver.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs" / "howto" / "images"
ADDRESS = "http://127.0.0.1:9777"
# Runs in the project's interpreter: run a flow, open one of its tasks in the folder `debug`.
PREPARE = """
import sys
from pathlib import Path
from tests.channel import ensure, serve
from tests.integration import test_debug_elsewhere as elsewhere
from tests.integration.debugged import KEPT, opened, tasks
from tests.project import FLOWS, project_at

root, which = Path(sys.argv[1]), sys.argv[2]
with serve(ensure("tests")) as server:
    (root / "user").mkdir()
    project = project_at(root / "user", server, root / "envs")
    project.variables.update(METAFLOW_CONDA_DEFAULT_PYPI_SOURCE="", JUPYTER_DATA_DIR=str(root / "jupyter"))
    source = elsewhere.HOUSES if which == "model" else (FLOWS / "shapes.py").read_text()
    words = [] if which == "model" else ["--fail", "True"]
    flow, task = ("HousePricePredictionFlow", "fit_gbrt_for_given_param 1")
    if which != "model":
        flow, task = ("ShapesFlow", "inner 1,1")
    script = project.write(f"{which}.py", source)
    ran = project.flow(script, "run", *words, variables=KEPT)
    assert (ran.returncode == 0) == (which == "model"), ran.output
    run = str(project.latest(flow, "run.pathspec"))
    opened(project, tasks(project, run)[task], root / which)
"""
CHROMIUM = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)
QUIET = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}'


@contextmanager
def lab(root: Path, folder: Path) -> Iterator[None]:
    """Serve *folder* with JupyterLab."""
    settings = root / "app"
    settings.mkdir(exist_ok=True)
    (settings / "overrides.json").write_text(QUIET)
    variables = {**os.environ, "JUPYTER_DATA_DIR": str(root / "jupyter"), "HOME": str(root)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={ADDRESS.split(':')[2]}"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", f"--LabApp.app_settings_dir={settings}"]
    running = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            with suppress(OSError):
                urllib.request.urlopen(f"{ADDRESS}/api")
                break
            time.sleep(0.5)
        yield
    finally:
        running.terminate()
        running.wait()


def photographed(name: str, last: str, height: int) -> None:
    """Execute the notebook from top to bottom, with *last* in its last cell, and keep a picture of it."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for word in (*CHROMIUM, f"--window-size=1000,{height}"):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get(f"{ADDRESS}/lab/tree/00_DEBUG_ME.ipynb?reset")
        browser.implicitly_wait(60)
        browser.find_element(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell")
        time.sleep(6)
        ActionChains(browser).key_down(Keys.CONTROL).send_keys("b").key_up(Keys.CONTROL).perform()
        content = browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell .cm-content")[-1]
        content.click()
        content.send_keys(last)
        for selector, text in ((".lm-MenuBar-item", "Run"), (".lm-Menu-item", "Run All Cells")):
            next(
                item for item in browser.find_elements(By.CSS_SELECTOR, selector) if item.text.startswith(text)
            ).click()
            time.sleep(1)
        time.sleep(15)
        browser.execute_script("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
        time.sleep(1)
        browser.save_screenshot(str(IMAGES / f"{name}.png"))
    finally:
        browser.quit()


def main() -> None:
    """Make both pictures."""
    for name, last, height in (
        ("model", "self.input, self.index, self.fit['rmse']", 1280),
        ("failed", "self.letter, self.input, self.index", 1280),
    ):
        with tempfile.TemporaryDirectory(prefix="screenshots-", ignore_cleanup_errors=True) as folder:
            root = Path(folder)
            subprocess.run([sys.argv[1], "-c", PREPARE, folder, name], cwd=PROJECT, check=True)
            with lab(root, root / name):
                photographed(f"debug-{name}", last, height)


if __name__ == "__main__":
    main()
