"""The map of where photos were taken: the world, or a part of it, with clusters that lead to smaller parts.

Positions are in the units of world.svg: two units are one degree, and the upper left corner is at 84° N, 180° W.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from app.web.languages import format_decimal, ngettext
from app.web.languages import gettext as _
from image_embeddings import Place, PlaceBucket

WIDTH, HEIGHT, NORTH, UNITS = 720.0, 284.0, 84.0, 2.0
MARGIN = 1.25  # the width of the view, in widths of the part asked for
NARROWEST = 0.05  # degrees; at this width, photos that are some kilometres apart do not overlap
# The radius of a cluster of one photo on a map of the full width, and how much it grows with ten times as many photos.
RADIUS, GROWTH = 29.0, 5.0
NEAR_ONE, NEAR_SEVERAL = 1.0, 0.01  # degrees: the least width of what a cluster of one or several photos leads to
NEARER = 0.9  # share of the part asked for; a cluster has no link if it would lead to hardly less than that part
OUT = 4  # how many times as wide the next larger part is
KM = 111.2  # kilometres in a degree of latitude
PLACES = 4  # decimal places of degrees: ten metres


class Dot(NamedTuple):
    """A cluster on the map."""

    x: float
    y: float
    radius: float
    number: str  # of photos, in short form: 1.2k
    words: str
    href: str | None  # None if it would lead to no smaller part of the world, or if the search is too long for a link


class WorldMap(NamedTuple):
    """What is drawn: the part `view` of the world, with clusters.

    `worlds` holds the x position of each copy of the world; a view over the date line needs two.
    """

    view: str  # an SVG viewBox
    worlds: list[float]
    dots: list[Dot]
    text_size: float
    wider: str | None  # the address of the next larger part, if there is a link
    whole: str | None  # the address of the whole world


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
    """Photos near each other. Longitudes are above 180 or below -180 if the view reaches over the date line."""

    lat: float
    lon: float
    count: int
    box: Place

    def radius(self, view: _View) -> float:
        return (RADIUS + GROWTH * math.log10(self.count)) * view.scale

    def touches(self, other: "_Cluster", view: _View) -> bool:
        apart = UNITS * math.hypot(self.lat - other.lat, self.lon - other.lon)
        return apart < self.radius(view) + other.radius(view)

    def join(self, other: "_Cluster") -> "_Cluster":
        count = self.count + other.count
        boxes = list(zip(self.box, other.box, strict=True))
        return _Cluster(
            lat=(self.lat * self.count + other.lat * other.count) / count,
            lon=(self.lon * self.count + other.lon * other.count) / count,
            count=count,
            box=(min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])),
        )


def make_map(
    found: Iterable[PlaceBucket], *, place: Place | None, address: Callable[[Place | None], str | None]
) -> WorldMap:
    """Return the map of these photos.

    `address` gives the address of the search within a box, or everywhere. If it gives None, there is no link.
    """
    asked = unwrap(place) if place else None
    view = _view(asked)
    clusters = _join_overlapping([_place_cluster(bucket, view) for bucket in found], view)
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
    """Return the middle of a box in words, and the longer side of the box in kilometres."""
    south, west, north, east = unwrap(place)
    lat, lon = (south + north) / 2, (west + east) / 2
    high, wide = north - south, (east - west) * math.cos(math.radians(lat))
    return position(lat, lon), format_decimal(float(f"{KM * max(high, wide):.2g}"))


def position(lat: float, lon: float) -> str:
    """Return a place in words: degrees north or south, and east or west."""
    lon = _normalize_longitude(lon)
    return f"{_degrees(lat, _('{n}° N'), _('{n}° S'))}, {_degrees(lon, _('{n}° E'), _('{n}° W'))}"


def _degrees(value: float, positive: str, negative: str) -> str:
    return (negative if value < 0 else positive).format(n=format_decimal(abs(value), format="0.0"))


def _view(asked: Place | None) -> _View:
    """Return the part of the world around a box, in the proportions of the map."""
    if asked is None:
        return _View(x=0, y=0, width=WIDTH)
    south, west, north, east = asked
    wide, high = (max(NARROWEST, extent * MARGIN) * UNITS for extent in (east - west, north - south))
    width = min(WIDTH, max(wide, high * WIDTH / HEIGHT))
    x, y = UNITS * (180 + (west + east) / 2), UNITS * (NORTH - (south + north) / 2)
    height = width * HEIGHT / WIDTH
    return _View(x=x - width / 2, y=min(max(0, y - height / 2), HEIGHT - height), width=width)


def _place_cluster(bucket: PlaceBucket, view: _View) -> _Cluster:
    """Return the cluster of a bucket, moved by 360 degrees if the view shows it on the next copy of the world."""
    x = UNITS * (bucket.lon + 180)
    turn = 360.0 if x < view.x else -360.0 if x > view.x + view.width else 0.0
    south, west, north, east = bucket.box
    box = (south, west + turn, north, east + turn)
    return _Cluster(lat=bucket.lat, lon=bucket.lon + turn, count=bucket.count, box=box)


def _join_overlapping(clusters: list[_Cluster], view: _View) -> list[_Cluster]:
    """Return the same photos in clusters that do not overlap, the largest first."""
    apart: list[_Cluster] = []
    for cluster in sorted(clusters, key=lambda cluster: -cluster.count):
        while touched := next((other for other in apart if other.touches(cluster, view)), None):
            apart.remove(touched)
            cluster = touched.join(cluster)
        apart.append(cluster)
    return sorted(apart, key=lambda cluster: -cluster.count)


def _dot(cluster: _Cluster, view: _View, *, asked: Place | None, address: Callable[[Place | None], str | None]) -> Dot:
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
    inner = _grow(cluster.box, by=0, least=min(NEAR_SEVERAL if cluster.count > 1 else NEAR_ONE, extent))
    return Dot(
        x=_clamp(UNITS * (cluster.lon + 180), view.x + radius, view.x + view.width - radius),
        y=_clamp(UNITS * (NORTH - cluster.lat), view.y + radius, view.y + view.height - radius),
        radius=radius,
        number=f"{format_decimal(round(cluster.count / 1000, 1 if cluster.count < 10_000 else 0))}k"
        if cluster.count > 999
        else str(cluster.count),
        words=words,
        href=address(_wrap(inner)) if _extent(inner) < NEARER * extent else None,
    )


def _wider(asked: Place, address: Callable[[Place | None], str | None]) -> str | None:
    """Return the address of a part of the world OUT times as wide; None if that is wider than half the world."""
    south, west, north, east = asked
    width = max(east - west, (north - south) * WIDTH / HEIGHT)
    if width * OUT > 180:
        return None
    return address(_wrap(_grow(asked, by=width * (OUT - 1) / 2, least=0)))


def _extent(box: Place) -> float:
    """Return the longer side of a box in degrees."""
    south, west, north, east = box
    return max(east - west, north - south)


def _grow(box: Place, *, by: float, least: float) -> Place:
    """Return a box that is larger by `by` degrees on each side, and at least `least` degrees wide and high."""
    south, west, north, east = box
    across, up = (max(by, (least - extent) / 2, 10**-PLACES) for extent in (east - west, north - south))
    return max(-90, south - up), west - across, min(90, north + up), east + across


def _wrap(box: Place) -> Place:
    """Return the box rounded to PLACES decimals; if it reaches over the date line, its west is larger than its east."""
    south, west, north, east = box
    if east - west >= 360:
        west, east = -180, 180
    edges = (south, _normalize_longitude(west), north, 180 if east == 180 else _normalize_longitude(east))
    south, west, north, east = (round(edge, PLACES) for edge in edges)
    return south, west, north, east


def _normalize_longitude(lon: float) -> float:
    """Return the same longitude as a number from -180 to below 180."""
    return (lon + 180) % 360 - 180


def _clamp(value: float, least: float, most: float) -> float:
    return max(least, min(most, value))


def _number(value: float) -> str:
    return f"{value:.4f}"
