"""How often is the verdict "nothing here really matches" right? For queries with and without a match, texts and photos.

    python benchmarks/cutoff.py            # more photos with: apt install tuxpaint-stamps-default

Texts with a match are captions, in many languages. Each is searched for in all photos, and then without its match: in
an index without the folder of its photo, and in one without all related folders (for a caption of a dog, all animals).
The index is calibrated anew each time. Texts of absent_texts.csv describe what no photo shows. `chosen on` was known
when the method was chosen, `held out` was written after that. Photos are searched for like captions, each by itself.

    lost     of queries with a match among the first 10 hits, the share that get the verdict that nothing matches. The
             match is the photo of a caption, or a photo of a photo's own folder
    lost all the same share, of all queries with a match: among the first 10 hits or not
    told     recall of the cut-off: share of queries without a match that get the verdict
    right    precision of the cut-off if queries with and without a match are equally frequent
    AUC      chance that a query with a match (among the hits) stands out more than one without
    plain    baseline: `told` and AUC of the plain cosine, at the level that has the same share of `lost`. Captions are
             needed to find that level; our level needs none

`hits` is the share of the first 10 hits of captions that are of the right folder: of all hits, and of those with the
verdict that they match. It also shows how many of the right hits get that verdict.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks.conse_quality import STAMPS, cut_out, in_scenes, load_stamps, on_white  # noqa: E402
from image_embeddings.calibration.everyday_texts import everyday_texts  # noqa: E402
from image_embeddings.calibration.likeness import Calibration, QueryKind, calibrate  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS  # noqa: E402
from image_embeddings.encoders.conse import ConseEncoder  # noqa: E402
from image_embeddings.sources.captions_file import CAPTIONS, read_captions  # noqa: E402

ABSENT = Path(__file__).with_name("absent_texts.csv")
GROUPS = {
    "English": ["en"],
    "other European": ["de", "es", "fr", "it", "nl", "pl", "pt", "pt_BR", "ru", "tr"],
    "ar ja ko th zh": ["ar", "ja", "ko", "th", "zh", "zh_CN", "zh_TW"],
}
LIVING = {"cats", "dogs", "farm-animals", "wild-animals", "birds", "insects", "sea-animals"}
GROWING = {"flowers", "plants", "food"}
HITS = 10
FEW = 3  # in folders with more photos than this, the photos are queries for each other
SIZES = (20, 40, 80, 160, 319)
DRAWS = 10  # number of random indices of each size
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Corpus:
    """Photos with captions. `photos` and `texts` are embeddings, (n, dims). `of` numbers each caption's photo."""

    title: str
    photos: Array
    names: Sequence[str]  # photos with the same name count as one for captions
    folders: NDArray[np.str_]
    kinds: NDArray[np.str_]  # related folders
    texts: Array
    of: NDArray[np.int64]
    languages: NDArray[np.str_]


@dataclass(frozen=True)
class Answers:
    """The result of each query: how far its best hit stands out, as a multiple of the level and as a plain cosine."""

    beyond: Array
    plain: Array

    def only(self, which: Mask) -> "Answers":
        """Return the results of some queries."""
        return Answers(self.beyond[which], self.plain[which])


def main() -> None:
    """Print a table for each corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=Path, default=STAMPS, metavar="FOLDER")
    args = parser.parse_args()
    encoder = ConseEncoder()
    everyday = encoder.encode_texts(everyday_texts())
    absent = {group: encoder.encode_texts(texts) for group, texts in absent_texts().items()}
    for corpus in corpora(encoder, args.stamps):
        report(corpus, everyday, absent)


def absent_texts() -> dict[str, list[str]]:
    """Return the texts that describe what no photo shows, by group."""
    with ABSENT.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row["text"] for row in rows if row["group"] == name] for name in ("chosen_on", "held_out")}


def corpora(encoder: ConseEncoder, stamps: Path) -> Iterator[Corpus]:
    """Yield the sample photos, and if they are installed the stamps, on white and in scenes."""
    yield samples(encoder)
    found = load_stamps(stamps)
    if not found:
        return
    cut_outs = [cut_out(stamp.path) for stamp in found]
    captions = [(n, language, text) for n, stamp in enumerate(found) for language, text in stamp.captions.items()]
    folders = np.array([stamp.category for stamp in found])
    kinds = np.array([stamp.category.split("/")[0] for stamp in found])
    texts = encoder.encode_texts([text for _, _, text in captions])
    for title, images in (("on white", [on_white(image) for image in cut_outs]), ("in scenes", in_scenes(cut_outs))):
        yield Corpus(
            title=title,
            photos=encoder.encode_images(images),
            names=[stamp.captions["en"] for stamp in found],
            folders=folders,
            kinds=kinds,
            texts=texts,
            of=np.array([number for number, _, _ in captions]),
            languages=np.array([language for _, language, _ in captions]),
        )


def samples(encoder: ConseEncoder) -> Corpus:
    """Return the sample photos with their captions."""
    names = sorted(path.relative_to(SAMPLE_PHOTOS).as_posix() for path in SAMPLE_PHOTOS.rglob("*.jpg"))
    captions = [
        (names.index(name), language, text)
        for language, texts in read_captions(SAMPLE_PHOTOS / CAPTIONS).items()
        for text, shown in texts.items()
        for name in shown
    ]
    folders = [name.split("/")[0] for name in names]
    return Corpus(
        title="samples",
        photos=encoder.encode_images([Image.open(SAMPLE_PHOTOS / name).convert("RGB") for name in names]),
        names=names,
        folders=np.array(folders),
        kinds=np.array(["living" if f in LIVING else "growing" if f in GROWING else f for f in folders]),
        texts=encoder.encode_texts([text for _, _, text in captions]),
        of=np.array([number for number, _, _ in captions]),
        languages=np.array([language for _, language, _ in captions]),
    )


def report(corpus: Corpus, everyday: Array, absent: dict[str, Array]) -> None:
    """Print the figures of the cut-off for one corpus."""
    print(f"\n{corpus.title}: {len(corpus.photos)} photos, {len(corpus.texts)} captions")
    print(f"{'':48} {'lost':>5} {'lost all':>8} {'told':>5} {'right':>5} {'AUC':>5} | {'plain: told':>11} {'AUC':>5}")
    text_rows(corpus, everyday, absent)
    photo_rows(corpus)
    hits_row(corpus, everyday)
    size_rows(corpus, everyday)


def text_rows(corpus: Corpus, everyday: Array, absent: dict[str, Array]) -> None:
    """Print the rows for texts."""
    calibration = calibrated(corpus.photos, everyday)
    with_match, found = answers(calibration, corpus.photos, corpus.texts), captions_found(corpus)
    for title, parts in (("folder", corpus.folders), ("related folders", corpus.kinds)):
        without = captions_without(corpus, parts, everyday)
        for name, codes in GROUPS.items():
            of_group = np.isin(corpus.languages, codes)
            group = with_match.only(of_group)
            print_row(f"{name}, without the {title}", group, found[of_group], without.only(of_group))
        print_row(f"all languages, without the {title}", with_match, found, without)
    for name, texts in absent.items():
        without = answers(calibration, corpus.photos, texts)
        print_row(f"absent texts, {name.replace('_', ' ')}", with_match, found, without)


def photo_rows(corpus: Corpus) -> None:
    """Print the rows for photos as queries."""
    alike = corpus.folders[:, None] == corpus.folders
    queries = alike.sum(axis=1) > FEW
    others = ~np.eye(len(corpus.photos), dtype=bool)
    with_match = answers(calibrated(corpus.photos), corpus.photos, corpus.photos, kind=QueryKind.PHOTO, among=others)
    hits = best_hits(corpus.photos @ corpus.photos.T, others)
    found: Mask = np.asarray(np.take_along_axis(alike, hits, axis=1).any(axis=1))
    for title, parts in (("folder", corpus.folders), ("related folders", corpus.kinds)):
        without = photos_without(corpus, parts)
        print_row(f"photos, without the {title}", with_match.only(queries), found[queries], without.only(queries))


def print_row(name: str, with_match: Answers, found: Mask, without: Answers) -> None:
    """Print one line of the table."""
    lost, lost_all = (with_match.beyond[found] < 1).mean(), (with_match.beyond < 1).mean()
    told = (without.beyond < 1).mean()
    plain_level = np.quantile(with_match.plain[found], lost)
    cells = [
        f"{lost:5.3f} {lost_all:8.3f} {told:5.3f} {told / (told + lost_all):5.3f}",
        f"{auc(with_match.beyond[found], without.beyond):5.3f} |",
        f"{(without.plain < plain_level).mean():11.3f} {auc(with_match.plain[found], without.plain):5.3f}",
    ]
    print(f"{name:48} " + " ".join(cells))


def hits_row(corpus: Corpus, everyday: Array) -> None:
    """Print how well the cut-off divides the first hits of the captions."""
    calibration = calibrated(corpus.photos, everyday)
    hits = best_hits(corpus.texts @ corpus.photos.T)
    right = corpus.folders[hits] == corpus.folders[corpus.of][:, None]
    said = np.stack(
        [
            matches(calibration, text, corpus.photos[row], photos=len(corpus.photos))
            for text, row in zip(corpus.texts, hits, strict=True)
        ]
    )
    print(f"hits: right {right.mean():.3f}, of those said to match {right[said].mean():.3f};", end=" ")
    print(f"right ones said to match {said[right].mean():.3f}, wrong ones {said[~right].mean():.3f}")


def size_rows(corpus: Corpus, everyday: Array) -> None:
    """Print `lost` and `told` (related folders left out) for smaller indices of random photos."""
    rng = np.random.default_rng(0)
    for size in (size for size in SIZES if size < len(corpus.photos)):
        shares = np.mean(
            [in_part(corpus, everyday, rng.permutation(len(corpus.photos))[:size]) for _ in range(DRAWS)], 0
        )
        print(f"{size} photos: lost {shares[0]:.3f}, told {shares[1]:.3f}")


def in_part(corpus: Corpus, everyday: Array, drawn: NDArray[np.int64]) -> tuple[float, float]:
    """Return `lost` and `told` of captions in an index of the photos in `drawn`."""
    calibration = calibrated(corpus.photos[drawn], everyday)
    has = np.isin(corpus.of, drawn)
    with_match = answers(calibration, corpus.photos[drawn], corpus.texts[has])
    hits = best_hits(corpus.texts[has] @ corpus.photos[drawn].T)
    found = (drawn[hits] == corpus.of[has][:, None]).any(axis=1)
    related = corpus.kinds[corpus.of][:, None] == corpus.kinds[drawn]
    unrelated = answers(calibration, corpus.photos[drawn], corpus.texts, among=~related)
    return float((with_match.beyond[found] < 1).mean()), float((unrelated.beyond < 1).mean())


def captions_found(corpus: Corpus) -> Mask:
    """Return which captions have their photo, or one of the same name, among the first hits."""
    names = np.array(corpus.names)
    hits = best_hits(corpus.texts @ corpus.photos.T)
    return np.asarray((names[hits] == names[corpus.of][:, None]).any(axis=1))


def captions_without(corpus: Corpus, parts: NDArray[np.str_], everyday: Array) -> Answers:
    """Return the results of the captions, each in an index without the part of the photos that its own photo is in."""
    beyond, plain = np.empty(len(corpus.texts), np.float32), np.empty(len(corpus.texts), np.float32)
    for part in np.unique(parts):
        left, asked = corpus.photos[parts != part], parts[corpus.of] == part
        answer = answers(calibrated(left, everyday), left, corpus.texts[asked])
        beyond[asked], plain[asked] = answer.beyond, answer.plain
    return Answers(beyond, plain)


def photos_without(corpus: Corpus, parts: NDArray[np.str_]) -> Answers:
    """Return the results of the photos, each in an index without the part that it is in."""
    beyond, plain = np.empty(len(corpus.photos), np.float32), np.empty(len(corpus.photos), np.float32)
    for part in np.unique(parts):
        left, asked = corpus.photos[parts != part], parts == part
        answer = answers(calibrated(left), left, corpus.photos[asked], kind=QueryKind.PHOTO)
        beyond[asked], plain[asked] = answer.beyond, answer.plain
    return Answers(beyond, plain)


def answers(
    calibration: Calibration,
    photos: Array,
    queries: Array,
    *,
    kind: QueryKind = QueryKind.TEXT,
    among: Mask | None = None,
) -> Answers:
    """Return for each query how far the best of the first hits stands out. 1 is the level."""
    among = np.ones((len(queries), len(photos)), bool) if among is None else among
    hits = best_hits(queries @ photos.T, among)
    beyond = [
        stands_out(calibration, query, photos[row[mask[row]]], kind=kind, photos=int(mask.sum()))
        for query, row, mask in zip(queries, hits, among, strict=True)
    ]
    plain = np.where(among, queries @ photos.T, -1).max(axis=1)
    return Answers(np.array(beyond, np.float32), plain)


def stands_out(calibration: Calibration, query: Array, hits: Array, *, kind: QueryKind, photos: int) -> float:
    """Return the greatest likeness of a hit as a multiple of the level, or infinity if the text suits all photos."""
    likeness, level = calibration.likeness(query, hits, kind=kind), calibration.level(kind, photos=max(photos, 20))
    if likeness is None or level is None:
        raise ValueError("The index is too small.")
    if kind is QueryKind.TEXT and calibration.suits_all(query):
        return float("inf")
    return float(likeness.max(initial=-1)) / level


def matches(calibration: Calibration, text: Array, hits: Array, *, photos: int) -> Mask:
    """Return which hits get the verdict that they match."""
    said = calibration.matches(text, hits, kind=QueryKind.TEXT, photos=photos)
    if said is None:
        raise ValueError("The index is too small.")
    return said


def calibrated(photos: Array, everyday: Array | None = None) -> Calibration:
    """Return the calibration of an index of these photos."""
    calibration = calibrate(photos, everyday, photos=len(photos))
    if calibration is None:
        raise ValueError("The index is too small.")
    return calibration


def best_hits(similarity: Array, among: Mask | None = None) -> NDArray[np.int64]:
    """Return the numbers of the first hits of each query, best first, shape (queries, HITS)."""
    allowed = similarity if among is None else np.where(among, similarity, -np.inf)
    return np.argsort(-allowed, axis=1, kind="stable")[:, :HITS]


def auc(higher: Array, lower: Array) -> float:
    """Return the chance that one of `higher` is above one of `lower`. Ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.mean() / 2 / len(lower))


if __name__ == "__main__":
    main()
