"""Are near-duplicates folded, and nothing else? Precision and recall by kind of change.

    python benchmarks/near_duplicates.py [--different FOLDER …]

All pictures are made from the sample photos, with a fixed seed (benchmarks/made_photos.py), encoded by `conse`, and
folded as in a search. recall is the share of pairs of near-duplicates that are folded, precision the share of
near-duplicates among all pairs that are folded. No two photos of a FOLDER may be folded.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks import made_photos as made  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS  # noqa: E402
from image_embeddings.documents import ImageDocument  # noqa: E402
from image_embeddings.encoders.conse import ConseEncoder  # noqa: E402
from image_embeddings.es.nearest import Hit  # noqa: E402
from image_embeddings.near_duplicates.folding import fold_near_duplicates  # noqa: E402
from image_embeddings.photos.decoding import decode  # noqa: E402
from image_embeddings.photos.fingerprint import fingerprint  # noqa: E402
from tools.sample_photos import Kind, read_table  # noqa: E402

SCENES = 150  # made with a subject
PLAIN = 25  # of each kind
NEAREST = 8  # pairs that are listed
BATCH = 32


@dataclass(frozen=True)
class Pair:
    """Two files, and whether they are near-duplicates."""

    kind: str
    names: tuple[str, str]
    files: tuple[bytes, bytes]
    same: bool


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--different", type=Path, nargs="*", default=[], metavar="FOLDER")
    folders = parser.parse_args().different
    encoder = ConseEncoder()
    pairs = [*changed_samples(), *scenes(), *plain_pictures()]
    files = {file: name for pair in pairs for name, file in zip(pair.names, pair.files, strict=True)}
    hits = make_hits(files, encoder)
    wrong = report(pairs, hits)
    for folder in [SAMPLE_PHOTOS, *folders]:
        photos = {path.read_bytes(): path.relative_to(folder).as_posix() for path in photos_below(folder)}
        wrong += report_different(folder.name, list(make_hits(photos, encoder).values()))
    print("\nwrongly folded:", *(wrong or ["none"]), sep="\n  ")


def photos_below(folder: Path) -> list[Path]:
    """Return the files of a folder that are named like photos."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))


def samples(kind: Kind | None = None) -> Iterator[tuple[str, Image.Image]]:
    """Yield the sample photos of a kind, or all, with their names."""
    for row in read_table():
        if kind in (None, row.kind):
            yield row.target, Image.open(SAMPLE_PHOTOS / row.target).convert("RGB")


def changed_samples() -> Iterator[Pair]:
    """Yield each sample photo with a changed copy of each kind, and two frames of a burst of it."""
    rng = random.Random(1)
    for name, photo in samples():
        original = (SAMPLE_PHOTOS / name).read_bytes()
        for kind, change in made.CHANGES.items():
            yield Pair(kind, (name, f"{name}, {kind}"), (original, change(photo, rng)), same=True)
        frames = [made.file_of(made.burst_frame(photo, rng)) for _ in range(2)]
        yield Pair("burst", (name, f"{name}, next"), (frames[0], frames[1]), same=True)
        colours = np.asarray(photo).astype(int)
        if (colours.max(axis=2) - colours.min(axis=2)).mean() > 12:  # else there is hardly a colour to change
            recoloured = made.file_of(made.recolour(photo))
            yield Pair("other colours", (name, f"{name}, recoloured"), (original, recoloured), same=False)


def scenes() -> Iterator[Pair]:
    """Yield scenes with a subject that moves a little, with another subject at its place, and without one."""
    rng = random.Random(2)
    subjects = [made.cut_out(photo) for _, photo in samples(Kind.CUT_OUT)]
    grounds = [*samples(Kind.SCENE), *((kind, made.PLAIN[kind](rng)) for kind in ("skies", "fog", "snow") * 4)]
    for number in range(SCENES):
        name, scene = rng.choice(grounds)
        one, other = rng.sample(subjects, 2)
        x, y, height = rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.65), rng.uniform(0.2, 0.55)
        moved = rng.uniform(-0.02, 0.02), rng.uniform(-0.01, 0.01), rng.uniform(0.97, 1.03)
        pictures = {
            "first": made.put(scene, one, x=x, y=y, height=height),
            "subject moves": made.put(scene, one, x=x + moved[0], y=y + moved[1], height=height * moved[2]),
            "another subject": made.put(scene, other, x=x, y=y, height=height),
            "without subject": scene,
        }
        files = {kind: made.file_of(made.burst_frame(image, rng, amount=0.5)) for kind, image in pictures.items()}
        for kind in list(pictures)[1:]:
            names = f"{name} {number}", f"{name} {number}, {kind}"
            kind_of_pair = "burst, subject moves" if kind == "subject moves" else kind
            yield Pair(kind_of_pair, names, (files["first"], files[kind]), same=kind == "subject moves")


def plain_pictures() -> Iterator[Pair]:
    """Yield all pairs of different pages, nights and skies, each kind by itself."""
    rng = random.Random(3)
    for kind, make in made.PLAIN.items():
        files = [made.file_of(make(rng)) for _ in range(PLAIN)]
        for one, other in combinations(range(PLAIN), 2):
            yield Pair(kind, (f"{kind} {one}", f"{kind} {other}"), (files[one], files[other]), same=False)


def make_hits(files: dict[bytes, str], encoder: ConseEncoder) -> dict[bytes, Hit]:
    """Return each file as a search would find it."""
    hits: dict[bytes, Hit] = {}
    waiting = list(files.items())
    for begin in range(0, len(waiting), BATCH):
        batch = waiting[begin : begin + BATCH]
        decoded = [decode(file, max_pixels=10_000_000, what=name) for file, name in batch]
        embeddings = encoder.encode_images([picture.image for picture in decoded])
        for (file, name), picture, embedding in zip(batch, decoded, embeddings, strict=True):
            document = ImageDocument(
                image_id=name,
                width=picture.width,
                height=picture.height,
                bytes=len(file),
                mtime_ns=0,
                content_hash=name,
                fingerprint=fingerprint(picture.image),
            )
            hits[file] = Hit(rank=1, score=None, document=document, embedding=embedding)
    return hits


def are_folded(one: Hit, other: Hit) -> bool:
    """Return whether one hit is folded under the other."""
    return len(fold_near_duplicates([one, other])) == 1


def report(pairs: Sequence[Pair], hits: dict[bytes, Hit]) -> list[str]:
    """Print recall by kind, and precision over all; return what is wrongly folded."""
    begin = time.perf_counter()
    folded = [are_folded(*(hits[file] for file in pair.files)) for pair in pairs]
    seconds = time.perf_counter() - begin
    print(f"{'pairs':24} {'of them':>8} {'folded':>7}")
    for kind in dict.fromkeys(pair.kind for pair in pairs):
        of_kind = [done for pair, done in zip(pairs, folded, strict=True) if pair.kind == kind]
        same = next(pair.same for pair in pairs if pair.kind == kind)
        print(f"{kind:24} {len(of_kind):8,} {np.mean(of_kind):7.3f}  {'' if same else '(different photos)'}")
    right = sum(done for pair, done in zip(pairs, folded, strict=True) if pair.same)
    wrong = [" / ".join(pair.names) for pair, done in zip(pairs, folded, strict=True) if done and not pair.same]
    print(f"recall {right / sum(pair.same for pair in pairs):.3f}, precision {right / (right + len(wrong)):.4f}")
    print(f"{seconds / len(pairs) * 1000:.2f} ms for a pair, the reading of both fingerprints included")
    return wrong


def report_different(title: str, hits: Sequence[Hit]) -> list[str]:
    """Print how many of these different photos are folded, and the pairs that are nearest; return the folded ones."""
    begin = time.perf_counter()
    first_hits = fold_near_duplicates(hits)
    milliseconds = (time.perf_counter() - begin) * 1000
    print(f"\n{title}: {len(hits)} different photos, {len(hits) - len(first_hits)} folded; {milliseconds:.0f} ms")
    for cosine, one, other in nearest(hits):
        print(f"  cosine {cosine:.3f}  {one.image_id} / {other.image_id}")
    return [f"{hit.image_id} / {inner.image_id}" for hit in first_hits for inner in hit.folded]


def nearest(hits: Sequence[Hit]) -> Iterable[tuple[float, Hit, Hit]]:
    """Return the pairs whose embeddings are most alike, with their cosine."""
    embeddings = np.stack([np.asarray(hit.embedding) for hit in hits])
    cosines = embeddings @ embeddings.T
    pairs = sorted(combinations(range(len(hits)), 2), key=lambda pair: -cosines[pair])
    return [(float(cosines[pair]), hits[pair[0]], hits[pair[1]]) for pair in pairs[:NEAREST]]


if __name__ == "__main__":
    main()
