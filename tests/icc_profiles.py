"""Colour profiles that tests make."""

import itertools
import struct

# Red, green and blue in XYZ under D50, and gamma.
_RGB_SPACES = {
    "srgb": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 2.2),
    "linear": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 1.0),
    "display-p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2),
    "adobe-rgb": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2),
    "prophoto": ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249), 1.8),
}
_WHITE = (0.9642, 1.0, 0.8249)
_INKS = ((0.55, -37, -50), (0.48, 74, -3), (0.89, -5, 93), (0.16, 0, 0))  # lightness as a share, and a, b of Lab


def rgb_profile(name: str) -> bytes:
    """Return the profile of a known RGB space with a plain gamma."""
    *colours, gamma = _RGB_SPACES[name]
    tags = {kind + b"XYZ": _xyz(colour) for kind, colour in zip((b"r", b"g", b"b"), colours, strict=True)}
    return _profile(b"RGB ", tags | {kind + b"TRC": _gamma(gamma) for kind in (b"r", b"g", b"b")})


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """Return a profile of four inks: their lightnesses multiply, and their colours add."""
    same = bytes(range(256))
    table = b"".join(_lab(amounts) for amounts in itertools.product((0, 1), repeat=4))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + 4 * same + table + 3 * same
    return _profile(b"CMYK", {b"A2B0": lut}, kind=b"prtr", connection=b"Lab ")


def _lab(amounts: tuple[int, ...]) -> bytes:
    light, red, yellow = 1.0, 0.0, 0.0
    for amount, (share, a, b) in zip(amounts, _INKS, strict=True):
        if amount:
            light, red, yellow = light * share, red + a, yellow + b
    return bytes(round(min(255, max(0, value))) for value in (light * 255, red * light + 128, yellow * light + 128))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78) + b"\0"
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": _xyz(_WHITE)} | tags
    at, table, content = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        value += bytes(-len(value) % 4)
        table += tag + struct.pack(">II", at + len(content), len(value))
        content += value
    head = struct.pack(
        ">I4sI4s4s4s12s4s", at + len(content), b"test", 0x02400000, kind, space, connection, bytes(12), b"acsp"
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", *(round(value * 65536) for value in _WHITE))
    return head.ljust(128, b"\0") + table + content
