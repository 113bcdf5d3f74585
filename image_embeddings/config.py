"""The settings: one typed table, read once from the environment and `.env`."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from image_embeddings.access_settings import parse_header, parse_password, parse_tokens
from image_embeddings.errors import SettingError
from image_embeddings.log_format import LOG_FORMATS

ROOT = Path(__file__).resolve().parent.parent  # the root of the clone, or the folder that the package is installed in
IS_CLONE = (ROOT / "pyproject.toml").is_file()
SAMPLE_PHOTOS = ROOT / "app" / "static" / "images"
DEFAULT_CA_CERTS = ROOT / "app" / "conf" / "ca.crt"

VECTOR_INDEX_TYPES = (
    "hnsw",
    "int8_hnsw",
    "int4_hnsw",
    "bbq_hnsw",
    "flat",
    "int8_flat",
    "int4_flat",
    "bbq_flat",
)
MAX_SHARDS = 1024  # Elasticsearch's own limit
MAX_REPLICAS = 9
DEFAULT_TEXT_MODEL_ID = "sentence-transformers__clip-vit-b-32-multilingual-v1"
TEXT_ENCODERS = ("auto", "local", "elasticsearch")
Network = IPv4Network | IPv6Network
ENCODER_PRECISIONS = ("auto", "float32", "bfloat16", "int8")


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    path = Path(value).expanduser()
    return path if path.is_absolute() else _base() / path


def _base() -> Path:
    """Return the folder of `.env` and relative paths: the clone's root, or the current folder if we are installed."""
    return ROOT if IS_CLONE else Path.cwd()


def _boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("Not a boolean: use true or false")


def _positive(value: str) -> int:
    number = int(value) if value.isascii() and value.isdigit() else 0
    if number < 1:
        raise ValueError("Not a whole number above zero")
    return number


def _replicas(value: str) -> int | None:
    """Return the number of copies of each shard, or None if Elasticsearch is to choose it."""
    if value == "auto":
        return None
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not 0 <= number <= MAX_REPLICAS:
        raise ValueError(f"Not a number of copies: use auto, or a number from 0 to {MAX_REPLICAS}")
    return number


def _shards(value: str) -> int:
    number = _positive(value)
    if number > MAX_SHARDS:
        raise ValueError(f"More shards than an index can have: {MAX_SHARDS} at most")
    return number


def _heap(value: str) -> str:
    if not (value.isascii() and value[:-1].isdigit() and value[-1:] in ("m", "g")):
        raise ValueError("Not a heap size: use a number with m or g, such as 512m or 2g")
    return value


def _index_name(value: str) -> str:
    if value != value.lower() or value.startswith(("-", "_", "+", ".")) or set(value) & set('*?,"<>|/\\ #:'):
        raise ValueError("Not a name for an index: use lower-case letters, digits, '-' and '_', a letter first")
    return value


def _model_id(value: str) -> str:
    if len(value) > 64 or not re.fullmatch(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?", value):
        raise ValueError(
            "Not an id for a model: at most 64 of a-z, 0-9, '_', '.' and '-', a letter or digit at the ends"
        )
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _hosts(value: str) -> tuple[str, ...]:
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


def _globs(value: str) -> tuple[str, ...]:
    from pathspec import GitIgnoreSpec

    globs = _names(value)
    GitIgnoreSpec.from_lines(globs)  # raises ValueError, which quotes the glob
    return globs


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(name, strict=False) for name in _names(value))
    except ValueError:
        raise ValueError(
            "Not a list of addresses: use 127.0.0.1 or networks such as 172.16.0.0/12, with commas between"
        ) from None


def _collections(value: str) -> str:
    name, _, column = value.partition(":")
    if not (value in ("folder", "label", "none") or (name == "column" and column)):
        raise ValueError("Not a kind of collection: use folder, label, none, or column: and a column's name")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"Not one of {', '.join(choices)}")
        return value

    return parse


def _setting(default: str | None, parse: Callable[[str], Any], help_text: str, *, secret: bool = False) -> Any:
    """Return a row of the table: the default as the environment would give it (None: unset), the parser, the help.

    No message shows the value of a secret.
    """
    metadata = {"default": default, "parse": parse, "help": help_text, "secret": secret}
    return dataclass_field(metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting by its lower-case name. The names in the environment and in `.env` are upper-case."""

    es_host: str | None = _setting(None, _text, "Elasticsearch's address. Unset: the embedded node is started")
    es_user: str | None = _setting(None, _text, "User name, together with ES_PWD")
    es_pwd: str | None = _setting(None, _text, "Password of ES_USER", secret=True)
    es_pwd_file: Path | None = _setting(None, _path, "File with the password of ES_USER, instead of ES_PWD")
    es_api_key: str | None = _setting(None, _text, "Encoded API key, instead of user and password", secret=True)
    es_cloud_id: str | None = _setting(None, _text, "Elastic Cloud ID, instead of ES_HOST")
    es_ca_certs: Path | None = _setting(
        None, _path, "CA certificate file (PEM) that signed the server's; app/conf/ca.crt where that file exists"
    )
    es_verify_certs: bool = _setting("true", _boolean, "Whether the server's certificate is verified")
    es_heap: str = _setting("1g", _heap, "Memory of the embedded node's Java heap")
    java_home: Path | None = _setting(
        None, _path, "A JDK 21 or newer for the embedded node (SIMD); the bundled JRE otherwise"
    )
    index_name: str = _setting("my-image-embeddings", _index_name, "Name of the Elasticsearch index (an alias)")
    image_dir: Path = _setting("app/static/images", _path, "Folder of the photos")
    exclude: tuple[str, ...] = _setting(
        "", _globs, "Files and folders of IMAGE_DIR to leave out: globs as in .gitignore, with commas between"
    )
    data_dir: Path = _setting(".data", _path, "Folder for the embedded node, its data, thumbnails and networks")
    image_model: str = _setting(
        "auto", _text, "auto, conse (built in), clip-ViT-B-32, or any sentence-transformers CLIP name or folder"
    )
    text_model: str | None = _setting(None, _text, "Text model of the same space. Unset: the one that fits IMAGE_MODEL")
    text_encoder: str = _setting("auto", _one_of(*TEXT_ENCODERS), "Where texts are encoded: auto, local, elasticsearch")
    es_text_model_id: str = _setting(DEFAULT_TEXT_MODEL_ID, _model_id, "Id of the text model inside Elasticsearch")
    encoder_precision: str = _setting(
        "auto",
        _one_of(*ENCODER_PRECISIONS),
        "Number format of CLIP for photos: auto, float32, bfloat16, int8",
    )
    vector_index_type: str = _setting(
        "int8_hnsw", _one_of(*VECTOR_INDEX_TYPES), "How Elasticsearch indexes the embeddings"
    )
    index_shards: int = _setting("1", _shards, "Number of parts of a new index, which lie on different nodes")
    index_replicas: int | None = _setting(
        "auto", _replicas, "Number of copies of each part: auto is one copy as soon as there is a second node"
    )
    app_password: str | None = _setting(
        None,
        parse_password,
        "Password of the web app, 8 characters or more. Unset: only its own machine is let in",
        secret=True,
    )
    app_password_file: Path | None = _setting(None, _path, "File with the password, instead of APP_PASSWORD")
    api_tokens: tuple[str, ...] = _setting(
        "", parse_tokens, "Tokens by which programs are let in without the password, with commas between", secret=True
    )
    api_tokens_file: Path | None = _setting(None, _path, "File with a token on each line, instead of API_TOKENS")
    allow_without_password: bool = _setting(
        "false", _boolean, "Whether other machines may be let in without a password"
    )
    auth_header: str | None = _setting(
        None, parse_header, "Header by which a proxy of TRUSTED_PROXIES names whom it has let in, such as Remote-User"
    )
    secret_key: str | None = _setting(
        None,
        _text,
        "Key that the login's cookie and addresses of thumbnails are signed with. Unset: a random one in DATA_DIR",
        secret=True,
    )
    collections: str = _setting(
        "folder", _collections, "What collections the pages offer: folder (top-level ones), label, column:NAME, none"
    )
    trusted_hosts: tuple[str, ...] = _setting(
        "", _hosts, "Further host names that the web app answers to, beside the machine's own; * is any"
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "", _networks, "Addresses or networks of reverse proxies whose X-Forwarded- headers are used, commas between"
    )
    log_format: str = _setting(
        "text", _one_of(*LOG_FORMATS), "Log lines of the web app: text, or json for one JSON object a line"
    )
    log_queries: bool = _setting("false", _boolean, "Whether the log has what people search for (an address's query)")
    max_content_length: int = _setting("20000000", _positive, "Largest upload in bytes")
    max_image_pixels: int = _setting("250000000", _positive, "Largest image in pixels, uploaded or indexed")


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """One row of the table, for help texts and docs."""

    name: str
    default: str | None
    help: str


def setting_rows() -> list[SettingRow]:
    """Return the rows of the table of settings, in order."""
    return [
        SettingRow(name=row.name.upper(), default=row.metadata["default"], help=row.metadata["help"])
        for row in fields(Settings)
    ]


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Return the settings from `environ`, with `overrides` in the place of some.

    By default `environ` is the process's environment, and the file `.env` for what the environment does not set. An
    empty value counts as unset. Overrides are parsed values by lower-case name. None leaves a setting as it is.

    Raise SettingError, which names the setting, if a value cannot be used or if two settings contradict each other.
    """
    environ = _environment() if environ is None else environ
    values = {row.name: _parse(row.name.upper(), environ, row.metadata) for row in fields(Settings)}
    values.update({name: value for name, value in overrides.items() if value is not None})
    if values["es_ca_certs"] is None and DEFAULT_CA_CERTS.is_file():
        values["es_ca_certs"] = DEFAULT_CA_CERTS
    if values["es_pwd_file"]:
        values["es_pwd"] = _read_password(values["es_pwd_file"], instead_of=values["es_pwd"])
    settings = Settings(**values)
    _check(settings)
    return settings


def is_set(name: str) -> bool:
    """Return whether the environment or `.env` has a value for the setting of that upper-case name."""
    return bool(_environment().get(name, "").strip())


def _environment() -> dict[str, str]:
    in_file = dotenv_values(_base() / ".env", interpolate=False)
    return {**{name: value or "" for name, value in in_file.items()}, **os.environ}


def share_cores() -> None:
    """Let the threads of models sleep while they wait for each other, unless the environment says otherwise.

    By default they spin. On two cores this makes the decoding of photos beside them five times slower. The call has an
    effect only before the first model is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def hush_profiler() -> None:
    """Keep torch's profiler, with which eland measures memory, from reporting that there is no GPU."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")


def _parse(name: str, environ: Mapping[str, str], row: Mapping[str, Any]) -> Any:
    value = environ.get(name, "").strip() or _default(name, row)
    if value is None:
        return None
    try:
        return row["parse"](value)
    except ValueError as error:
        said = "a value that cannot be used" if row["secret"] else f"value '{value}'"
        raise SettingError(f"{name} has {said}. {error}.") from None


def _read_password(file: Path, *, instead_of: str | None) -> str:
    if instead_of:
        raise SettingError("ES_PWD and ES_PWD_FILE are both set. Keep one of them.")
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingError(f"ES_PWD_FILE has value '{file}'. The file cannot be read: {reason}.") from None
    if not password:
        raise SettingError(f"ES_PWD_FILE has value '{file}'. The file is empty.")
    return password


def _default(name: str, row: Mapping[str, Any]) -> str | None:
    """Return the default of a setting.

    An installed package has no clone around it. The photos are then the samples in the package, and the data is kept in
    the user's data folder.
    """
    if not IS_CLONE and name == "IMAGE_DIR":
        return str(SAMPLE_PHOTOS)
    if not IS_CLONE and name == "DATA_DIR":
        from platformdirs import user_data_dir

        return user_data_dir("image-search", appauthor=False)
    default: str | None = row["default"]
    return default


def _check(settings: Settings) -> None:
    if settings.es_host and settings.es_cloud_id:
        raise SettingError("ES_HOST and ES_CLOUD_ID are both set. Keep the one that names your cluster.")
    if settings.es_host and not settings.es_host.startswith(("http://", "https://")):
        raise SettingError(
            f"ES_HOST has value '{settings.es_host}'. It needs a scheme: https://{settings.es_host} "
            f"(or http:// where the server has no TLS)."
        )
    if bool(settings.es_user) != bool(settings.es_pwd) and not settings.es_api_key:
        missing = "ES_PWD" if settings.es_user else "ES_USER"
        raise SettingError(f"{missing} is not set. ES_USER and ES_PWD go together (or use ES_API_KEY instead).")
    for name in ("app_password", "api_tokens"):
        if getattr(settings, name) and getattr(settings, f"{name}_file"):
            raise SettingError(f"{name.upper()} and {name.upper()}_FILE are both set. Keep one of them.")
    if settings.auth_header:
        _check_auth_header(settings)


def _check_auth_header(settings: Settings) -> None:
    if not settings.trusted_proxies:
        raise SettingError(
            "AUTH_HEADER is set without TRUSTED_PROXIES: anybody could send that header. Write the address of the "
            "proxy that sets it into TRUSTED_PROXIES."
        )
    if everybody := [str(network) for network in settings.trusted_proxies if network.prefixlen == 0]:
        raise SettingError(
            f"AUTH_HEADER is set, and {everybody[0]} in TRUSTED_PROXIES is every address: anybody could send that "
            "header. Write only the address of the proxy that sets it."
        )
