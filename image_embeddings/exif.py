"""What a photo's EXIF says of it: for now, where it was taken."""

import struct
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

_GPS = ExifTags.GPS


def location(exif: Image.Exif) -> tuple[float, float] | None:
    """Latitude and longitude in degrees (north and east positive); None where absent, damaged or out of range."""
    try:
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(gps[_GPS.GPSLatitude], negative=gps[_GPS.GPSLatitudeRef] == "S")
        longitude = _degrees(gps[_GPS.GPSLongitude], negative=gps[_GPS.GPSLongitudeRef] == "W")
    except (KeyError, TypeError, ValueError, ArithmeticError, OSError, SyntaxError, struct.error):
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # also false for not-a-number
        return None
    return latitude, longitude


def _degrees(parts: Any, *, negative: bool) -> float:
    degrees, minutes, seconds = (float(Fraction(part)) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if negative else value
