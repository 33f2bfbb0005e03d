"""Takes pictures of pages for the docs: `python tools/picture.py [--url http://127.0.0.1:4318/] [--name overview]`.

It asks a running server (`make demo`, once it is full) through a Chromium that is already on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "img"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> int:
    """Writes docs/img/overview.png, or the picture of another page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:4318/", help="the page to take")
    parser.add_argument("--name", default="overview", help="what the picture is called")
    parser.add_argument("--height", type=int, default=1180, help="how much of it, in pixels at 1440 wide")
    args = parser.parse_args()
    browser = os.environ.get("OUTLAY_CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if browser is None:
        print("error: no Chromium here; install one or set OUTLAY_CHROMIUM", file=sys.stderr)
        return 1
    target = IMAGES / f"{args.name}.png"
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}")
        size = f"--window-size=1440,{args.height}"
        command = [browser, *options, size, f"--screenshot={target}", args.url]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    print(f"wrote docs/img/{target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
