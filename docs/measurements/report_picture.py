"""Take the picture of a report that the README shows, or of the page of ``bench kernels``.

python docs/measurements/report_picture.py runs/digits-mlp-1/report.html docs/images/report.png
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

report, picture = Path(sys.argv[1]).absolute(), sys.argv[2]
with sync_playwright() as playwright:
    chromium = shutil.which("chromium")
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_context(offline=True, viewport={"width": 1000, "height": 800}).new_page()
    page.goto(report.as_uri())
    page.wait_for_selector(".main-svg")
    page.add_style_tag(content="section:not(:has(#errors, #gadget, #curve)) { display: none }")
    page.wait_for_timeout(500)
    page.screenshot(path=picture, full_page=True)
    browser.close()
