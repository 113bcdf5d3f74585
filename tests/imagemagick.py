"""The distribution's ImageMagick, an independent judge of what pictures look like."""

import os
import subprocess
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

from tests.programs import Program
from tests.waiting import LONG

MISSING = "ImageMagick is missing, and tests hold colours against it. On Debian: apt-get install imagemagick"
NEEDED = bool(os.environ.get("CI"))  # without ImageMagick, such a test would check nothing there
_PROGRAM = Program(commands=("convert",), version_option="-version", missing=MISSING, before_version="ImageMagick ")
executable, describe = _PROGRAM.executable, _PROGRAM.describe


def rendered(file: Path) -> Image.Image:
    """Return the picture in a file as ImageMagick shows it in sRGB."""
    srgb = file.with_name("srgb.icc")
    srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    command = ["convert", str(file), "-auto-orient", "-profile", str(srgb), "-depth", "8", "png:-"]
    made = subprocess.run(command, capture_output=True, timeout=LONG, check=True)
    return Image.open(BytesIO(made.stdout)).convert("RGB")
