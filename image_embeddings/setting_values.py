"""The forms of settings: each function turns a text into the value of a setting, or raises ValueError.

A message says what the text is not, and what to write instead.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
MAX_SHARDS = 1024  # Elasticsearch's own limit
MAX_REPLICAS = 9
CANDIDATES = range(10, 10_001)  # the last is Elasticsearch's own limit
MAX_OVERSAMPLE = 1000


def parse_text(value: str) -> str:
    """Return the text as it is."""
    return value


def is_url(value: str) -> bool:
    """Return whether a value is the address of photos that are no folder of this machine, such as s3://bucket."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", value) is not None


def plain_url(value: str) -> str:
    """Return such an address in its usual form: the scheme in lower case, and no slash at the end."""
    scheme, _, rest = value.partition("://")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def parse_http_address(value: str) -> str:
    """Return the address of a server, which needs a scheme."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("Not an address of a server: it begins with http:// or https://")
    return value.rstrip("/")


def parse_boolean(value: str) -> bool:
    """Return True or False for the usual words."""
    lowered = value.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("Not a boolean: use true or false")


def parse_positive(value: str) -> int:
    """Return a whole number above zero."""
    number = int(value) if value.isascii() and value.isdigit() else 0
    if number < 1:
        raise ValueError("Not a whole number above zero")
    return number


def parse_shards(value: str) -> int:
    """Return a number of shards that an index can have."""
    number = parse_positive(value)
    if number > MAX_SHARDS:
        raise ValueError(f"More shards than an index can have: {MAX_SHARDS} at most")
    return number


def parse_replicas(value: str) -> int | None:
    """Return the number of copies of each shard, or None if Elasticsearch is to choose it."""
    if value == "auto":
        return None
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not 0 <= number <= MAX_REPLICAS:
        raise ValueError(f"Not a number of copies: use auto, or a number from 0 to {MAX_REPLICAS}")
    return number


def parse_candidates(value: str) -> int:
    """Return a number of photos that a search can weigh."""
    number = parse_positive(value)
    if number not in CANDIDATES:
        raise ValueError(f"Not a number of candidates: use one from {CANDIDATES[0]} to {CANDIDATES[-1]}")
    return number


def parse_oversample(value: str) -> int | None:
    """Return how many photos are scored again for each hit, or None if the type of the index is to decide."""
    if value == "auto":
        return None
    number = int(value) if value.isascii() and value.isdigit() else 0
    if not 1 <= number <= MAX_OVERSAMPLE:
        raise ValueError(f"Not a number of photos for each hit: use auto, or a number from 1 to {MAX_OVERSAMPLE}")
    return number


def parse_heap(value: str) -> str:
    """Return the size of a heap as Java takes it, such as 512m or 2g."""
    if not (value.isascii() and value[:-1].isdigit() and value[-1:] in ("m", "g")):
        raise ValueError("Not a heap size: use a number with m or g, such as 512m or 2g")
    return value


def parse_index_name(value: str) -> str:
    """Return a name that Elasticsearch takes for an index."""
    if value != value.lower() or value.startswith(("-", "_", "+", ".")) or set(value) & set('*?,"<>|/\\ #:'):
        raise ValueError("Not a name for an index: use lower-case letters, digits, '-' and '_', a letter first")
    return value


def parse_model_id(value: str) -> str:
    """Return an id that Elasticsearch takes for a model."""
    if len(value) > 64 or not re.fullmatch(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?", value):
        raise ValueError(
            "Not an id for a model: at most 64 of a-z, 0-9, '_', '.' and '-', a letter or digit at the ends"
        )
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def parse_hosts(value: str) -> tuple[str, ...]:
    """Return host names as browsers send them: in lower case, with letters beyond ASCII as in DNS, without a port.

    A name that begins with a dot stands for all names that end with it.
    """
    try:
        return tuple(map(_host, _names(value)))
    except ValueError:
        raise ValueError(
            "Not a list of host names: use photos.example.org, .example.org for all names that end so, or * for any, "
            "with commas between"
        ) from None


def _host(text: str) -> str:
    match = re.fullmatch(r"(?P<below>(\*?\.)?)(?P<name>[\w-]+(\.[\w-]+)*)\.?(:\d{1,5})?", text)
    if match is None:
        return text if text == "*" else f"[{ip_address(text.strip('[]'))}]"
    return "." * bool(match["below"]) + match["name"].lower().encode("idna").decode()


def parse_globs(value: str) -> tuple[str, ...]:
    """Return the globs of a list with commas between."""
    from pathspec import GitIgnoreSpec

    globs = _names(value)
    GitIgnoreSpec.from_lines(globs)  # raises ValueError, which quotes the glob
    return globs


def parse_networks(value: str) -> tuple[Network, ...]:
    """Return the networks of a list with commas between; an address is a network of one."""
    try:
        return tuple(ip_network(name, strict=False) for name in _names(value))
    except ValueError:
        raise ValueError(
            "Not a list of addresses: use 127.0.0.1 or networks such as 172.16.0.0/12, with commas between"
        ) from None


def parse_collections(value: str) -> str:
    """Return what makes a collection: folder, label, none, or column: and a name."""
    name, _, column = value.partition(":")
    if not (value in ("folder", "label", "none") or (name == "column" and column)):
        raise ValueError("Not a kind of collection: use folder, label, none, or column: and a column's name")
    return value


def parse_one_of(*choices: str) -> Callable[[str], str]:
    """Return the function for a setting that has one of these values."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"Not one of {', '.join(choices)}")
        return value

    return parse
