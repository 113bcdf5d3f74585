"""Elasticsearch's jars: fetched once from Maven Central, and arranged in the folders that the node expects."""

import errno
import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from xml.etree.ElementTree import ParseError

from filelock import FileLock

from image_embeddings.errors import NodeDownloadError, first_line

VERSION = "9.5.3"  # after a change, run tools/node_jars.py
_LIST = "jars.txt"
# What jgo was seen to raise without a network, if a server refuses, and if a file in its cache is damaged. Errors of
# `requests` are OSErrors. jgo asserts that a file that it is about to write does not exist yet.
_FETCH_ERRORS = (OSError, RuntimeError, ValueError, KeyError, AssertionError, ParseError, zipfile.BadZipFile)

_CONNECTIONS = 8  # number of downloads at the same time

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

FetchJars = Callable[[Path], Iterable[Path]]


def install_jars(
    folder: Path, *, fetch: FetchJars, notify: Callable[[str], None], hashes: Mapping[str, str] | None = None
) -> None:
    """Make `folder` a complete Elasticsearch home (lib, modules, plugins). Return at once if it exists already.

    The folder gets its name only when it is complete. So an interrupted download leaves nothing that a later run would
    use. `fetch` gets an empty scratch folder, and returns the paths of the jars. Wherever they come from, they must be
    those of `hashes`: SHA-256 by the name of the jar (default: those of the package's list).

    Raise NodeDownloadError if the jars cannot be fetched or are not these, and OSError if the folder cannot be written
    or the disk is full.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return
        notify(f"Fetching Elasticsearch {VERSION} (44 MB, only this once) …")
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _lay_out(_fetch_checked(fetch, partial / "scratch", hashes or read_hashes()), partial)
            shutil.rmtree(partial / "scratch")
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def fetch_from_maven(scratch: Path) -> list[Path]:
    """Return the jars, each from the user's Maven cache or else from Maven Central.

    If the user's cache is damaged, the jars are fetched into `scratch` instead. jgo writes downloads under their final
    names, so an interrupted one stays in the user's cache as a damaged file.
    """
    from jgo.constants import default_jgo_cache, default_maven_repo

    try:
        with _lock_cache(default_jgo_cache()):
            jars = _download(default_maven_repo())
            _check(jars, read_hashes())
            return jars
    except _FETCH_ERRORS:
        return _download(scratch / "repository")


@contextmanager
def _lock_cache(cache: Path) -> Iterator[None]:
    """Keep other processes from downloading meanwhile: jgo's downloads are not safe beside one another.

    Where nothing can be written, as in a read-only container, nobody downloads anything, and the jars may be there.
    """
    lock = FileLock(cache / "image-search.lock")
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def read_coordinates() -> list[str]:
    """Return the Maven coordinates of all jars of the node, as `group:artifact:version`."""
    return [coordinates for coordinates, _ in _read_list()]


def read_hashes() -> dict[str, str]:
    """Return the SHA-256 of all jars of the node, in hexadecimal digits, by their file names."""
    return {"{1}-{2}.jar".format(*coordinates.split(":")): sha256 for coordinates, sha256 in _read_list()}


def _read_list() -> list[list[str]]:
    return [line.split() for line in resources.files(__package__).joinpath(_LIST).read_text("utf-8").splitlines()]


def _download(repository: Path) -> list[Path]:
    """Return the node's jars, each from `repository` or else from Maven Central.

    Only the Maven part of jgo is used. Its environments use a JDK to sort jars into modules and others. They look for
    the JDK on the machine and then on GitHub. The node does not need that. To find all jars from two coordinates, jgo
    needs 140 requests, one after the other. So the list of all jars is part of the package.
    """
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
    artifacts = [context.create_dependency(coordinates).artifact for coordinates in read_coordinates()]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(lambda artifact: artifact.resolve(), artifacts))


def _fetch_checked(fetch: FetchJars, scratch: Path, hashes: Mapping[str, str]) -> list[Path]:
    scratch.mkdir(parents=True)
    try:
        jars = list(fetch(scratch))
        _check(jars, hashes)
    except _FETCH_ERRORS as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise
        raise NodeDownloadError(
            f"The jars of Elasticsearch {VERSION} cannot be fetched from Maven Central: {_first_line(error)} "
            f"Check the network (or HTTPS_PROXY) and run the command again: they are needed only once. Or set ES_HOST "
            f"to use an Elasticsearch of your own."
        ) from error
    return jars


def _check(jars: list[Path], hashes: Mapping[str, str]) -> None:
    """Raise ValueError unless these are exactly the jars of `hashes`, byte for byte."""
    names = {jar.name for jar in jars}
    if missing := sorted(hashes.keys() - names):
        raise ValueError(f"{missing[0]} is missing among {len(jars)} jars.")
    if foreign := sorted(names - hashes.keys()):
        raise ValueError(f"{foreign[0]} is none of the {len(hashes)} jars of Elasticsearch {VERSION}.")
    for jar in jars:
        if hashlib.sha256(jar.read_bytes()).hexdigest() != hashes[jar.name]:
            raise ValueError(f"{jar} is damaged, or is not the file that its publisher has published (SHA-256).")


def _lay_out(jars: list[Path], home: Path) -> None:
    netty = home / "modules" / "transport-netty4"
    for folder in (netty, home / "lib", home / "plugins"):
        folder.mkdir(parents=True)
    for jar in jars:
        part = netty if jar.name.startswith(("netty-", "transport-netty4")) else home / "lib"
        # A copy, because a hard link would change if the file in the user's Maven cache changes.
        shutil.copyfile(jar, part / jar.name)


def _first_line(error: BaseException) -> str:
    line = first_line(error)
    return line if line.endswith(".") else f"{line}."
