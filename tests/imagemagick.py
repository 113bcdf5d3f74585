"""The distribution's ImageMagick, an independent judge of what pictures look like."""

import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

from tests.waiting import LONG

MISSING = "ImageMagick is missing, and tests hold colours against it. On Debian: apt-get install imagemagick"
NEEDED = bool(os.environ.get("CI"))  # without ImageMagick, such a test would check nothing there


def executable() -> str | None:
    """Return the path of ImageMagick's `convert` if it is installed."""
    return shutil.which("convert")


def describe() -> str:
    """Return version and path, for pytest's header."""
    path = executable()
    if path is None:
        return f"none: {MISSING}"
    text = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=LONG, check=False).stdout
    return f"{text.partition('ImageMagick ')[2].partition(' ')[0] or 'of unknown version'} ({path})"


def rendered(file: Path) -> Image.Image:
    """Return the picture in a file as ImageMagick shows it in sRGB."""
    srgb = file.with_name("srgb.icc")
    srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    command = ["convert", str(file), "-auto-orient", "-profile", str(srgb), "-depth", "8", "png:-"]
    made = subprocess.run(command, capture_output=True, timeout=LONG, check=True)
    return Image.open(BytesIO(made.stdout)).convert("RGB")
