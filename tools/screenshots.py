"""Take the screenshots of the documentation (docs/screenshots) from running web apps.

make run, then in another terminal: .venv/bin/python tools/screenshots.py [http://127.0.0.1:5001]

Filters, map and dates need photos with date and place, such as those of tools/many_photos.py. If the second argument is
the address of an app that serves such photos, their screenshot is taken too.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1120, "height": 700}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 700},
    "color_scheme": "dark",
    "has_touch": True,
    "is_mobile": True,
}
RESULTS = "/image_search?q=mountains"
SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "results.png": (RESULTS, DESKTOP),
    "parts.png": ("/image_search?q=the+sea&like=water/rowing-boats.jpg&without=an+animal", DESKTOP),
    "photo.png": (f"{RESULTS}#photo=landscapes/mountain-path.jpg", DESKTOP),
    "phone.png": (RESULTS, PHONE),
}
MANY = {"filters.png": ("/image_search?q=a+dog&camera=Z+6", DESKTOP | {"viewport": {"width": 1120, "height": 960}})}
COLOURS = 256  # enough for photos as small as these, and a third of the bytes


def main(samples: str, many: str = "") -> None:
    """Write every screenshot anew."""
    chromium = shutil.which("chromium") or sys.exit("Chromium is missing. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for address, pictures in ((samples, SAMPLES), (many, MANY)):
            for name, (path, context) in pictures.items() if address else ():
                page = browser.new_context(base_url=address, **context).new_page()
                page.goto(path, wait_until="networkidle")
                if "#photo" in path:
                    page.keyboard.press("i")
                if pictures is MANY:
                    page.locator(".filters > summary").click()
                page.wait_for_timeout(800)  # until all transitions have ended
                save(page.screenshot(), FOLDER / name)
        browser.close()


def save(png: bytes, path: Path) -> None:
    """Write a screenshot with COLOURS colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(BytesIO(png)).quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:5001"])
