"""Where photos were taken: a drawn map of the world, or of the part asked for, with clusters that lead further in.

Positions are in the units of world.svg: two to a degree, from its upper left corner at 84° N, 180° W.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _

from image_embeddings import Place, PlaceBucket

WIDTH, HEIGHT, NORTH, UNITS = 720.0, 284.0, 84.0, 2.0
MARGIN = 1.25  # of what is shown around the part asked for
NARROWEST = 0.05  # degrees across: photos within some kilometres still lie apart
RADIUS, GROWTH = 29.0, 5.0  # of a cluster, and for each ten times as many photos, on a map of the full width
NEAR_ONE, NEAR_SEVERAL = 1.0, 0.01  # degrees: what a cluster leads to is at least as wide
NEARER = 0.9  # of the part that is shown: a cluster of hardly less leads nowhere
OUT = 4  # so many times as wide is the next part out
KM = 111.2  # of a degree of latitude
PLACES = 4  # decimals: ten metres


class Dot(NamedTuple):
    """A cluster on the map."""

    x: float
    y: float
    radius: float
    number: str  # of photos, short
    words: str
    href: str | None  # None where it would lead to no smaller part of the world


class WorldMap(NamedTuple):
    """What is drawn: the part `view` of the world, as often as it goes round (`worlds`), with clusters."""

    view: str  # an SVG viewBox
    worlds: list[float]
    dots: list[Dot]
    text_size: float
    wider: str | None  # the next part out
    whole: str | None  # the world


@dataclass(frozen=True, kw_only=True)
class _View:
    x: float
    y: float
    width: float

    @property
    def height(self) -> float:
        return self.width * HEIGHT / WIDTH

    @property
    def scale(self) -> float:
        return self.width / WIDTH


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    """Photos near each other; longitudes go on beyond 180 where the view does."""

    lat: float
    lon: float
    count: int
    box: Place

    def radius(self, view: _View) -> float:
        return (RADIUS + GROWTH * math.log10(self.count)) * view.scale

    def touches(self, other: "_Cluster", view: _View) -> bool:
        apart = UNITS * math.hypot(self.lat - other.lat, self.lon - other.lon)
        return apart < self.radius(view) + other.radius(view)

    def joined(self, other: "_Cluster") -> "_Cluster":
        count = self.count + other.count
        boxes = list(zip(self.box, other.box, strict=True))
        return _Cluster(
            lat=(self.lat * self.count + other.lat * other.count) / count,
            lon=(self.lon * self.count + other.lon * other.count) / count,
            count=count,
            box=(min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])),
        )


def make_map(found: Iterable[PlaceBucket], *, place: Place | None, address: Callable[[Place | None], str]) -> WorldMap:
    """Return the map of these photos; `address` gives that of the search within a box, or everywhere."""
    asked = unwrap(place) if place else None
    view = _view(asked)
    clusters = _apart([_placed(bucket, view) for bucket in found], view)
    return WorldMap(
        view=" ".join(map(_number, (view.x, view.y, view.width, view.height))),
        worlds=[copy for copy in (-WIDTH, 0.0, WIDTH) if copy < view.x + view.width and copy + WIDTH > view.x],
        dots=[_dot(cluster, view, asked=asked, address=address) for cluster in clusters],
        text_size=20 * view.scale,
        wider=_wider(asked, address) if asked else None,
        whole=address(None) if asked else None,
    )


def unwrap(place: Place) -> Place:
    """Return the box with its east beyond 180 if it reaches over the date line."""
    south, west, north, east = place
    return south, west, north, east + 360 if east < west else east


def centre_of(place: Place) -> tuple[str, str]:
    """Return the middle of a box in words, and how many kilometres the box reaches at most."""
    south, west, north, east = unwrap(place)
    lat, lon = (south + north) / 2, (west + east) / 2
    high, wide = north - south, (east - west) * math.cos(math.radians(lat))
    return position(lat, lon), format_decimal(float(f"{KM * max(high, wide):.2g}"))


def position(lat: float, lon: float) -> str:
    """A place in words."""
    lon = _turned(lon)
    return f"{_degrees(lat, _('{n}° N'), _('{n}° S'))}, {_degrees(lon, _('{n}° E'), _('{n}° W'))}"


def _degrees(value: float, positive: str, negative: str) -> str:
    return (negative if value < 0 else positive).format(n=format_decimal(abs(value), format="0.0"))


def _view(asked: Place | None) -> _View:
    """The part of the world around a box, in the map's own proportions."""
    if asked is None:
        return _View(x=0, y=0, width=WIDTH)
    south, west, north, east = asked
    wide, high = (max(NARROWEST, extent * MARGIN) * UNITS for extent in (east - west, north - south))
    width = min(WIDTH, max(wide, high * WIDTH / HEIGHT))
    x, y = UNITS * (180 + (west + east) / 2), UNITS * (NORTH - (south + north) / 2)
    height = width * HEIGHT / WIDTH
    return _View(x=x - width / 2, y=min(max(0, y - height / 2), HEIGHT - height), width=width)


def _placed(bucket: PlaceBucket, view: _View) -> _Cluster:
    """A cluster where the view has it: that may be on the next round of the world."""
    x = UNITS * (bucket.lon + 180)
    turn = 360.0 if x < view.x else -360.0 if x > view.x + view.width else 0.0
    south, west, north, east = bucket.box
    box = (south, west + turn, north, east + turn)
    return _Cluster(lat=bucket.lat, lon=bucket.lon + turn, count=bucket.count, box=box)


def _apart(clusters: list[_Cluster], view: _View) -> list[_Cluster]:
    """The same photos in clusters that do not overlap, the largest first."""
    apart: list[_Cluster] = []
    for cluster in sorted(clusters, key=lambda cluster: -cluster.count):
        while touched := next((other for other in apart if other.touches(cluster, view)), None):
            apart.remove(touched)
            cluster = touched.joined(cluster)
        apart.append(cluster)
    return sorted(apart, key=lambda cluster: -cluster.count)


def _dot(cluster: _Cluster, view: _View, *, asked: Place | None, address: Callable[[Place | None], str]) -> Dot:
    radius = cluster.radius(view)
    place = position(cluster.lat, cluster.lon)
    words = ngettext(
        "%(count)s photo near %(place)s",
        "%(count)s photos near %(place)s",
        cluster.count,
        count=format_decimal(cluster.count),
        place=place,
    )
    extent = _extent(asked) if asked else 360.0
    inner = _grown(cluster.box, by=0, least=min(NEAR_SEVERAL if cluster.count > 1 else NEAR_ONE, extent))
    return Dot(
        x=_within(UNITS * (cluster.lon + 180), view.x + radius, view.x + view.width - radius),
        y=_within(UNITS * (NORTH - cluster.lat), view.y + radius, view.y + view.height - radius),
        radius=radius,
        number=f"{format_decimal(round(cluster.count / 1000, 1 if cluster.count < 10_000 else 0))}k"
        if cluster.count > 999
        else str(cluster.count),
        words=words,
        href=address(_wrap(inner)) if _extent(inner) < NEARER * extent else None,
    )


def _wider(asked: Place, address: Callable[[Place | None], str]) -> str | None:
    """The address of a part of the world that is so many times as wide; None where that is nearly all of it."""
    south, west, north, east = asked
    width = max(east - west, (north - south) * WIDTH / HEIGHT)
    if width * OUT > 180:
        return None
    return address(_wrap(_grown(asked, by=width * (OUT - 1) / 2, least=0)))


def _extent(box: Place) -> float:
    """The longer side of a box in degrees."""
    south, west, north, east = box
    return max(east - west, north - south)


def _grown(box: Place, *, by: float, least: float) -> Place:
    """A box that is larger by so many degrees on each side, and at least so many wide and high."""
    south, west, north, east = box
    across, up = (max(by, (least - extent) / 2, 10**-PLACES) for extent in (east - west, north - south))
    return max(-90, south - up), west - across, min(90, north + up), east + across


def _wrap(box: Place) -> Place:
    """Return a box to four decimals; if it reaches over the date line, its west is larger than its east."""
    south, west, north, east = box
    if east - west >= 360:
        west, east = -180, 180
    edges = (south, _turned(west), north, 180 if east == 180 else _turned(east))
    south, west, north, east = (round(edge, PLACES) for edge in edges)
    return south, west, north, east


def _turned(lon: float) -> float:
    """The same longitude from -180 to below 180."""
    return (lon + 180) % 360 - 180


def _within(value: float, least: float, most: float) -> float:
    return max(least, min(most, value))


def _number(value: float) -> str:
    return f"{value:.4f}"
