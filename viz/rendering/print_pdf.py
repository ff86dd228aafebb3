"""Print a page to a PDF, with the browser that is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import DrawingError

#: Browsers that print without a window.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def pdf(page: str, seconds: float = 120) -> bytes:
    """Return the PDF of a page, as its CSS says for paper.

    Raises DrawingError, with what to do instead, if there is no such browser or if it fails.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    instead = "write .html, open it in any browser and print it"
    if program is None:
        raise DrawingError(f"a PDF needs Chromium or Chrome, which was not found; {instead}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_text(page, encoding="utf-8")
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
            f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", f"--print-to-pdf={target}", source.as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, capture_output=True, timeout=seconds, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DrawingError(f"{program} did not print the page ({error}); {instead}") from None
        if not target.is_file():
            raise DrawingError(f"{program} did not print the page; {instead}")
        return target.read_bytes()
