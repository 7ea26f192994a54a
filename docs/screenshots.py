"""Take the screenshots of the documentation anew: ``python docs/screenshots.py [NAME...]``.

Needs chromium (or google-chrome), plotly and Pillow; a small sweep of the embedded digits takes
about a minute. Each picture is a function below that gets an empty folder and gives a page, and a
row in SHOTS that says how large a window is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).parent / "images"
LARGEST = 300_000  # bytes


class Shot(NamedTuple):
    """One picture: what makes its page, and the window that it is seen in."""

    page: Callable[[Path], Path]
    width: int
    height: int


def report(folder: Path) -> Path:
    """The report of a small sweep, in which one rate was too hot."""
    run("sweep", "digits", "--budget", "200", "--trials", "14", "--confirm", "3",
        "--enqueue", "linear:8", "--out", ".", folder=folder)  # fmt: skip
    return folder / "digits-200.html"


SHOTS = {"report": Shot(report, 1000, 1900)}


def run(*arguments: str, folder: Path) -> None:
    """The `lrsearch` command, in a folder of its own."""
    subprocess.run([sys.executable, "-m", "lrsearch", *arguments], cwd=folder, check=True)


def take(name: str, shot: Shot) -> None:
    """Make the page, look at it, keep the picture with few colours."""
    from PIL import Image

    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    browser = next(found, None)
    if browser is None:
        sys.exit("screenshots need chromium, chromium-browser or google-chrome")
    with tempfile.TemporaryDirectory() as place:
        page, raw = shot.page(Path(place)), Path(place) / "raw.png"
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={raw}",
             f"--window-size={shot.width},{shot.height}", "--virtual-time-budget=8000",
             page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        IMAGES.mkdir(exist_ok=True)
        path = IMAGES / f"{name}.png"
        Image.open(raw).convert("RGB").quantize(128).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        sys.exit(f"{path.name} has {size:,} bytes, more than {LARGEST:,}: make its window smaller")
    print(f"wrote {path.name}, {size:,} bytes")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SHOTS:
        if wanted not in SHOTS:
            sys.exit(f"there is no screenshot {wanted!r}; there are: {', '.join(SHOTS)}")
        take(wanted, SHOTS[wanted])
