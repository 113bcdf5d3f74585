"""Does an indexing run need more memory the more photos there are?

    python benchmarks/memory.py [--photos 20000] [--model conse|random-clip]

The photos are JPEGs of 800 × 600 pixels, each with different bytes. During the run, the memory of the indexing process
is printed (resident set; the embedded node is another process). `random-clip` is a CLIP ViT-B/32 of full size with
random weights.
"""

import argparse
import resource
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import psutil
from PIL import Image

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.indexing import make_clip  # noqa: E402
from image_embeddings import index_photos  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS, load_settings, share_cores  # noqa: E402
from image_embeddings.es import opening  # noqa: E402

SIZE = (800, 600)
KINDS = 50  # number of different pictures
ROWS = 20


class MemoryTable:
    """A progress bar that prints the memory of this process, in ROWS rows."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        print("  photos  memory (MB)")

    def update(self, n: float | None = 1, /) -> bool:
        """Count `n` more photos as done."""
        before, self.done = self.done, self.done + int(n or 0)
        rows = [number * ROWS // self.total for number in (before, self.done)]
        if rows[0] != rows[1]:
            resident = psutil.Process().memory_info().rss
            print(f"{self.done:>8,}  {resident / 2**20:>11,.0f}", flush=True)
        return False

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Do nothing: no photo is skipped."""


def make_photos(folder: Path, *, count: int) -> Path:
    """Write `count` JPEGs with different bytes, a thousand in each folder below `folder`, and return `folder`."""
    samples = sorted(SAMPLE_PHOTOS.rglob("*.jpg"))[:KINDS]
    pictures = []
    for path in samples:
        buffer = BytesIO()
        with Image.open(path) as sample:
            sample.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    for number in range(count):
        place = folder / str(number // 1000)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(pictures[number % len(pictures)] + number.to_bytes(8, "big"))
    return folder


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--model", choices=["conse", "random-clip"], default="conse")
    options = parser.parse_args()
    share_cores()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = "conse" if options.model == "conse" else str(make_clip(folder / "random-clip"))
        settings = load_settings(
            {"IMAGE_MODEL": model},
            image_dir=make_photos(folder / "photos", count=options.photos),
            data_dir=folder / "data",
        )
        try:
            report = index_photos(settings, progress=MemoryTable, notify=print)
        finally:
            opening.embedded_node(settings).stop()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{report.encoded:,} photos in {report.seconds:,.0f} s; {most:,.0f} MB at most, making the network included")


if __name__ == "__main__":
    main()
