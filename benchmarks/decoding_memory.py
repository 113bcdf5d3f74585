"""How much memory does an indexing run need for photos of 200 megapixels, or of 142 as HEIC?

    python benchmarks/decoding_memory.py [--photos 5] [--kind HEIF|PNG|JPEG]

Photos are made (a HEIC takes a minute) and indexed with `conse` by another process. The most memory is printed that it
and its processes that decode have together (what they share counts once; the embedded node does not count). A run over
a small photo goes before. One image of HEVC has 142 megapixels at most. Cameras make larger HEICs of tiles, which this
benchmark cannot write.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"HEIF": (13_760, 10_320), "PNG": (16_384, 12_288), "JPEG": (16_384, 12_288)}
ENDINGS = {"HEIF": "heic", "PNG": "png", "JPEG": "jpg"}
OPTIONS: dict[str, dict[str, object]] = {
    "HEIF": {"quality": 30},
    "PNG": {"compress_level": 1},
    "JPEG": {"quality": 60, "progressive": True},
}
RUN = r"""
import sys, threading
from contextlib import suppress
from pathlib import Path
import psutil
from tqdm import tqdm
from image_embeddings import index_photos
from image_embeddings.config import load_settings, share_cores
from image_embeddings.es import opening
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.decoders import indexing_decoders
share_cores()
decoders, ended, most = indexing_decoders(IndexOptions().thread_count), threading.Event(), 0
def watch():
    global most
    while not ended.wait(0.02):
        taken = 0
        for pid in [None, *decoders.pids()]:
            with suppress(psutil.NoSuchProcess):
                taken += psutil.Process(pid).memory_full_info().pss
        most = max(most, taken)
watching = threading.Thread(target=watch)
watching.start()
folder = Path(sys.argv[1])
settings = load_settings({"IMAGE_MODEL": "conse"}, image_dir=folder / "photos", data_dir=folder / "data")
try:
    report = index_photos(settings, progress=lambda total: tqdm(total=total, disable=True), notify=print)
finally:
    opening.embedded_node(settings).stop()
    ended.set()
    watching.join()
print(f"{report.encoded} encoded, {len(report.skipped)} skipped in {report.seconds:.0f} s", end="; ")
print(f"{most / 2**30:.2f} GiB at most")
"""


def make_photo(path: Path, kind: str) -> bytes:
    """Write one photo of the size of its kind, and return its bytes."""
    width, height = SIZES[kind]
    if kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    line = np.linspace(0, 255, width).astype(np.uint8)
    picture = Image.fromarray(np.repeat(np.tile(line, (height, 1))[..., None], 3, axis=2))
    picture.save(path, kind, **OPTIONS[kind])
    return path.read_bytes()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5)
    parser.add_argument("--kind", choices=list(ENDINGS), default="HEIF")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place) / "photos"
        photos.mkdir()
        Image.new("RGB", (64, 64)).save(photos / "small.png")
        command = [sys.executable, "-c", RUN, place]
        subprocess.run(command, cwd=ROOT, check=True)  # makes the network of `conse`, which takes memory of its own
        begin = time.monotonic()
        data = make_photo(photos / f"0.{ENDINGS[options.kind]}", options.kind)
        for number in range(1, options.photos):
            (photos / f"{number}.{ENDINGS[options.kind]}").write_bytes(data + number.to_bytes(4, "big"))
        print(f"made in {time.monotonic() - begin:.0f} s, {len(data) / 2**20:.1f} MiB each", flush=True)
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
