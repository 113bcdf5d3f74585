"""Photos in HDFS, by its web interface WebHDFS, so that no Java is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote, urlsplit

from image_embeddings.errors import CorpusError, SettingError, SourceUnreachableError
from image_embeddings.file_stores.ranged_file import Body
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.remote_source import RemoteSource, gone
from image_embeddings.sources.remote_tree import RemoteEntry
from image_embeddings.sources.skipped import Skipped

SCHEMES = {"hdfs": "http", "webhdfs": "http", "swebhdfs": "https"}
_HTTP_PORTS = {"http": 9870, "https": 9871}  # of a NameNode, by default
_RPC_PORTS = (8020, 9000)  # of a NameNode, which `hdfs://` addresses of Hadoop's own programs name
_TIMEOUT = (5, 30)  # seconds to connect, and between two pieces of an answer
_DATANODE_TRIES = 4  # the NameNode goes on to name a DataNode for ten minutes after it has died


class WebHdfsSource(RemoteSource):
    """The photos in a folder of HDFS."""

    def __init__(self, address: str, *, exclude: Sequence[str] = (), patience_seconds: float = 0.0) -> None:
        """Take `webhdfs://[USER@]HOST[:PORT]/PATH`; connect to nothing yet.

        Raises:
            SettingError: if it names no host, or a port that does not speak HTTP.
        """
        super().__init__(address, exclude=exclude, patience_seconds=patience_seconds)
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise SettingError(f"{address} has a port that is no number. {_FORM}") from None
        if not parts.hostname:
            raise SettingError(f"{address} names no NameNode. {_FORM}")
        if port in _RPC_PORTS:
            raise SettingError(f"{address} names the port {port}, at which a NameNode does not speak HTTP. {_FORM}")
        scheme = SCHEMES[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._root = address.partition("://")[2].partition("/")[2]
        self._web = f"{scheme}://{host}:{port or _HTTP_PORTS[scheme]}/webhdfs/v1"
        self._user = {"user.name": parts.username} if parts.username else {}
        self._lock = threading.Lock()
        self._made_session: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs to make the same source."""
        return _make, (self.address, self._exclude, self._patience_seconds)

    def check(self) -> None:
        """As in `PhotoSource`."""
        status = self._patiently(self._status, "")
        if status is None:
            raise CorpusError(f"There is no folder {self.address}. Is its path right?")
        if status["type"] != "DIRECTORY":
            raise CorpusError(f"{self.address} is not a folder. Name the folder of your photos.")

    def _begin_listing(
        self, *, skip: Callable[[Skipped], None], passed: PassedOver
    ) -> Callable[[str], Iterable[RemoteEntry]]:
        return lambda folder: self._patiently(self._list, folder)

    def _stat(self, path: str) -> RemoteEntry | None:
        status = self._status(path)
        return _entry(path, status) if status and status["type"] == "FILE" else None

    def _fetch(self, entry: RemoteEntry, start: int, stop: int) -> Body:
        """As in `RemoteSource`. The NameNode names a DataNode; if that one is away, ask for another one."""
        away: list[str] = []
        for _ in range(_DATANODE_TRIES):
            sent_on = self._get(entry.path, "OPEN", offset=start, length=stop - start, **_all_but(away))
            if not sent_on.is_redirect:  # a gateway answers by itself
                return _Body(sent_on, errors=lambda: self._errors(entry.path))
            address = sent_on.headers["Location"]
            sent_on.close()
            try:
                return _Body(self._request(address, path=entry.path), errors=lambda: self._errors(entry.path))
            except SourceUnreachableError as error:
                failure = error
                away.append(urlsplit(address).hostname or "")
        raise failure

    def _list(self, folder: str) -> list[RemoteEntry]:
        found = self._ask(folder, "LISTSTATUS")["FileStatuses"]["FileStatus"]
        prefix = f"{folder}/" if folder else ""
        return [_entry(f"{prefix}{status['pathSuffix']}", status) for status in found if status["pathSuffix"]]

    def _status(self, path: str) -> Mapping[str, Any] | None:
        try:
            return cast(Mapping[str, Any], self._ask(path, "GETFILESTATUS")["FileStatus"])
        except _MissingError:
            return None

    def _ask(self, path: str, operation: str) -> Any:
        with self._errors(path):
            return self._get(path, operation).json()

    def _get(self, path: str, operation: str, **options: int | str) -> Any:
        """Return the answer to an operation. The NameNode sends those who want content on to a DataNode."""
        whole = quote("/".join(filter(None, (self._root, path))))
        query = {"op": operation, **self._user, **options}
        return self._request(f"{self._web}/{whole}", path=path, params=query, allow_redirects=operation != "OPEN")

    def _request(self, address: str, *, path: str, **options: Any) -> Any:
        with self._errors(path):
            answer = self._session.get(address, timeout=_TIMEOUT, stream=True, **options)
        if answer.status_code >= 400:
            with self._errors(path):
                raise self._error_of(answer, path)
        return answer

    @property
    def _session(self) -> Any:
        with self._lock:
            if self._made_session is None:
                from requests import Session

                self._made_session = Session()
                self._made_session.headers["Accept-Encoding"] = "identity"  # photos are compressed already
                self._made_session.trust_env = False  # no password of a .netrc goes out, and no proxy is asked
            return self._made_session

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Turn errors of the network into ours."""
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (RequestException, HTTPError, OSError) as error:
            raise SourceUnreachableError(
                f"HDFS does not answer at {self._web}, or a DataNode does not ({type(error).__name__}). Is it up, is "
                "its port for HTTP the right one, and are the names of its DataNodes known to this machine?",
                passes=True,
            ) from None

    def _error_of(self, answer: Any, path: str) -> CorpusError:
        """Return the error for a refusal, which HDFS describes by the name of an exception of Java."""
        what, status = path or self.address, answer.status_code
        try:
            reason = str(answer.json()["RemoteException"]["exception"])
        except (ValueError, KeyError, TypeError):
            if status == 404 and answer.url.startswith(self._web):  # WebHDFS itself names an exception
                return SourceUnreachableError(f"What answers at {self._web} is not WebHDFS. {_FORM}")
            reason = answer.reason or ""
        if reason in ("StandbyException", "RetriableException", "SafeModeException"):
            return SourceUnreachableError(
                f"The NameNode at {self._web} does not serve now ({reason}). Name the active one.", passes=True
            )
        if status == 401:
            return SourceUnreachableError(
                f"HDFS at {self._web} wants a login by Kerberos, which this program does not speak. Mount it, or let "
                "an HttpFS or Knox gateway without it stand between."
            )
        if status == 404 and reason in ("FileNotFoundException", "Not Found"):
            return _MissingError(str(gone(what)))
        if status == 403:
            return CorpusError(f"{what} cannot be opened ({reason}): let this user read it, or name one: USER@HOST.")
        if status >= 500 or status == 429:
            return SourceUnreachableError(f"HDFS at {self._web} fails ({status} {reason}). Try later.", passes=True)
        return CorpusError(f"{what} cannot be opened ({status} {reason}): look after HDFS and index again.")


_FORM = "Write webhdfs://HOST:9870/PATH, with the port of the NameNode for HTTP (dfs.namenode.http-address)."


def _all_but(datanodes: Sequence[str]) -> dict[str, str]:
    """Return the option by which the NameNode names none of these hosts. It chooses anew in any case."""
    return {"excludedatanodes": ",".join(sorted(set(datanodes)))} if datanodes else {}


class _MissingError(CorpusError):
    """There is no such file or folder."""


class _Body:
    """The body of an answer, with errors of ours."""

    def __init__(self, answer: Any, *, errors: Callable[[], Any]) -> None:
        self._answer, self._errors = answer, errors

    def read(self, size: int, /) -> bytes:
        with self._errors():
            return cast(bytes, self._answer.raw.read(size, decode_content=True))

    def close(self) -> None:
        self._answer.close()


def _entry(path: str, status: Mapping[str, Any]) -> RemoteEntry:
    if status["type"] != "FILE":
        return RemoteEntry(path=path, is_folder=status["type"] == "DIRECTORY")
    return RemoteEntry(path=path, bytes=status["length"], mtime_ns=status["modificationTime"] * 10**6)


def _make(address: str, exclude: Sequence[str], patience_seconds: float) -> WebHdfsSource:
    return WebHdfsSource(address, exclude=exclude, patience_seconds=patience_seconds)
