"""The settings: one typed table, read once from the environment and `.env`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from image_embeddings.access_settings import parse_header, parse_password, parse_tokens
from image_embeddings.errors import SettingError
from image_embeddings.log_format import LOG_FORMATS
from image_embeddings.setting_checks import check_comments, check_settings, read_password
from image_embeddings.setting_values import (
    Network,
    is_url,
    parse_boolean,
    parse_candidates,
    parse_collections,
    parse_globs,
    parse_heap,
    parse_hosts,
    parse_http_address,
    parse_index_name,
    parse_model_id,
    parse_networks,
    parse_one_of,
    parse_oversample,
    parse_positive,
    parse_replicas,
    parse_shards,
    parse_text,
    plain_url,
)

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
TEXT_ENCODERS = ("auto", "local", "elasticsearch")
ENCODER_PRECISIONS = ("auto", "float32", "bfloat16", "int8")
DEFAULT_TEXT_MODEL_ID = "sentence-transformers__clip-vit-b-32-multilingual-v1"


def _path(value: str) -> Path:
    path = Path(value).expanduser()
    return path if path.is_absolute() else _base() / path


def _photo_address(value: str) -> Path | str:
    return plain_url(value) if is_url(value) else _path(value)


def _base() -> Path:
    """Return the folder of `.env` and relative paths: the clone's root, or the current folder if we are installed."""
    return ROOT if IS_CLONE else Path.cwd()


def _setting(default: str | None, parse: Callable[[str], Any], help_text: str, *, secret: bool = False) -> Any:
    """Return a row of the table: the default as the environment would give it (None: unset), the parser, the help.

    No message shows the value of a secret.
    """
    metadata = {"default": default, "parse": parse, "help": help_text, "secret": secret}
    return dataclass_field(metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting by its lower-case name. The names in the environment and in `.env` are upper-case."""

    es_host: str | None = _setting(None, parse_text, "Elasticsearch's address. Unset: the embedded node is started")
    es_user: str | None = _setting(None, parse_text, "User name, together with ES_PWD")
    es_pwd: str | None = _setting(None, parse_text, "Password of ES_USER", secret=True)
    es_pwd_file: Path | None = _setting(None, _path, "File with the password of ES_USER, instead of ES_PWD")
    es_api_key: str | None = _setting(None, parse_text, "Encoded API key, instead of user and password", secret=True)
    es_cloud_id: str | None = _setting(None, parse_text, "Elastic Cloud ID, instead of ES_HOST")
    es_ca_certs: Path | None = _setting(
        None, _path, "CA certificate file (PEM) that signed the server's; app/conf/ca.crt where that file exists"
    )
    es_verify_certs: bool = _setting("true", parse_boolean, "Whether the server's certificate is verified")
    es_heap: str = _setting("1g", parse_heap, "Memory of the embedded node's Java heap")
    java_home: Path | None = _setting(
        None, _path, "A JDK 21 or newer for the embedded node (SIMD); the bundled JRE otherwise"
    )
    index_name: str = _setting("my-image-embeddings", parse_index_name, "Name of the Elasticsearch index (an alias)")
    image_dir: Path | str = _setting(
        "app/static/images", _photo_address, "Folder of the photos, or the address of a store: s3://BUCKET/PREFIX"
    )
    exclude: tuple[str, ...] = _setting(
        "", parse_globs, "Files and folders of IMAGE_DIR to leave out: globs as in .gitignore, with commas between"
    )
    s3_endpoint: str | None = _setting(
        None, parse_http_address, "Address of the S3-compatible store that s3:// is at. Unset: Amazon's"
    )
    data_dir: Path = _setting(".data", _path, "Folder for the embedded node, its data, thumbnails and networks")
    thumbnails: Path | str | None = _setting(
        None,
        _photo_address,
        "Folder or address (s3://BUCKET/PREFIX) in which machines share thumbnails. Unset: each has its own",
    )
    image_model: str = _setting(
        "auto", parse_text, "auto, conse (built in), clip-ViT-B-32, or any sentence-transformers CLIP name or folder"
    )
    text_model: str | None = _setting(
        None, parse_text, "Text model of the same space. Unset: the one that fits IMAGE_MODEL"
    )
    text_encoder: str = _setting(
        "auto", parse_one_of(*TEXT_ENCODERS), "Where texts are encoded: auto, local, elasticsearch"
    )
    es_text_model_id: str = _setting(DEFAULT_TEXT_MODEL_ID, parse_model_id, "Id of the text model inside Elasticsearch")
    encoder_precision: str = _setting(
        "auto",
        parse_one_of(*ENCODER_PRECISIONS),
        "Number format of CLIP for photos: auto, float32, bfloat16, int8",
    )
    vector_index_type: str = _setting(
        "int8_hnsw", parse_one_of(*VECTOR_INDEX_TYPES), "How Elasticsearch indexes the embeddings"
    )
    index_shards: int = _setting("1", parse_shards, "Number of parts of a new index, which lie on different nodes")
    index_replicas: int | None = _setting(
        "auto", parse_replicas, "Number of copies of each part: auto is one copy as soon as there is a second node"
    )
    num_candidates: int = _setting("500", parse_candidates, "Photos that a search weighs in each part of the index")
    oversample: int | None = _setting(
        "auto",
        parse_oversample,
        "Photos scored again on the full embeddings, for each hit: auto is by the index's type",
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
        "false", parse_boolean, "Whether other machines may be let in without a password"
    )
    auth_header: str | None = _setting(
        None, parse_header, "Header by which a proxy of TRUSTED_PROXIES names whom it has let in, such as Remote-User"
    )
    secret_key: str | None = _setting(
        None,
        parse_text,
        "Key that the login's cookie and addresses of thumbnails are signed with. Unset: a random one in DATA_DIR",
        secret=True,
    )
    collections: str = _setting(
        "folder",
        parse_collections,
        "What collections the pages offer: folder (top-level ones), label, column:NAME, none",
    )
    trusted_hosts: tuple[str, ...] = _setting(
        "", parse_hosts, "Further host names that the web app answers to, beside the machine's own; * is any"
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "",
        parse_networks,
        "Addresses or networks of reverse proxies whose X-Forwarded- headers are used, commas between",
    )
    log_format: str = _setting(
        "text", parse_one_of(*LOG_FORMATS), "Log lines of the web app: text, or json for one JSON object a line"
    )
    log_queries: bool = _setting(
        "false", parse_boolean, "Whether the log has what people search for (an address's query)"
    )
    max_content_length: int = _setting("20000000", parse_positive, "Largest upload in bytes")
    max_image_pixels: int = _setting("250000000", parse_positive, "Largest image in pixels, uploaded or indexed")


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
    if environ is None:
        check_comments(_base() / ".env", {row.name.upper() for row in fields(Settings) if row.metadata["secret"]})
    environ = _environment() if environ is None else environ
    values = {row.name: _parse(row.name.upper(), environ, row.metadata) for row in fields(Settings)}
    values.update({name: value for name, value in overrides.items() if value is not None})
    if values["es_ca_certs"] is None and DEFAULT_CA_CERTS.is_file():
        values["es_ca_certs"] = DEFAULT_CA_CERTS
    if values["es_pwd_file"]:
        values["es_pwd"] = read_password(values["es_pwd_file"], instead_of=values["es_pwd"])
    settings = Settings(**values)
    check_settings(settings)
    return settings


def shared_environment() -> dict[str, str]:
    """Return the variables of our settings that other machines of the same work get: no secret, and no path of ours."""
    rows = {row.name.upper(): row.metadata for row in fields(Settings)}
    return {
        name: value
        for name, value in _environment().items()
        if name in rows and not rows[name]["secret"] and rows[name]["parse"] is not _path
    }


def load_shared_settings(shared: Mapping[str, str], *, data_dir: Callable[[], Path]) -> Settings:
    """Return the settings of a machine that got `shared`. What it has in its own environment goes before.

    `data_dir` makes a folder for the case that DATA_DIR is not set. Raise SettingError as `load_settings` does.
    """
    environ = {**shared, **os.environ}
    return load_settings(environ, data_dir=None if environ.get("DATA_DIR", "").strip() else data_dir())


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
