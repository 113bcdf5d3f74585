"""A small WebHDFS server over a folder, which answers as the documentation of WebHDFS says, on loopback.

As with Hadoop, the NameNode sends those who open a file on to a DataNode, which is another port here.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_EXCEPTIONS = {
    400: ("IllegalArgumentException", "java.lang.IllegalArgumentException"),
    401: ("SecurityException", "java.lang.SecurityException"),
    403: ("AccessControlException", "org.apache.hadoop.security.AccessControlException"),
    404: ("FileNotFoundException", "java.io.FileNotFoundException"),
}


class WebHdfs:
    """The state of the server: what it refuses next, and the queries that it got."""

    def __init__(self, folder):
        self.folder = folder
        self.refused: dict[str, tuple[int, str]] = {}  # operation -> HTTP status, name of an exception
        self.queries: list[dict[str, str]] = []
        self.name_node = self.data_node = ""
        self.dead_node = (
            ""  # an address that the NameNode names first, as it does for minutes after a DataNode has died
        )


class Node(BaseHTTPRequestHandler):
    """Answers for the NameNode and for the DataNode; `server.state` is a WebHdfs."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        state, parts = self.server.state, urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        state.queries.append(query)
        path = state.folder / unquote(parts.path).removeprefix("/webhdfs/v1").strip("/")
        operation = query["op"].upper()
        if operation in state.refused:
            self.refuse(*state.refused[operation])
        elif not path.exists():
            self.refuse(404)
        else:
            getattr(self, f"do_{operation}")(path, query)

    def do_GETFILESTATUS(self, path, query):
        self.answer({"FileStatus": status(path, "")})

    def do_LISTSTATUS(self, path, query):
        found = [status(file, file.name) for file in sorted(path.iterdir())] if path.is_dir() else [status(path, "")]
        self.answer({"FileStatuses": {"FileStatus": found}})

    def do_OPEN(self, path, query):
        if self.server.is_name_node:
            self.send_response(307)
            state = self.server.state
            node = state.data_node if "excludedatanodes" in query else state.dead_node or state.data_node
            self.send_header("Location", f"{node}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        offset = int(query.get("offset", 0))
        length = int(query.get("length", path.stat().st_size))
        self.send(200, path.read_bytes()[offset : offset + length], "application/octet-stream")

    def answer(self, value, code=200):
        self.send(code, json.dumps(value).encode(), "application/json")

    def refuse(self, code, name=""):
        known, java = _EXCEPTIONS.get(code, (name, f"java.io.{name}"))
        said = {"exception": name or known, "javaClassName": java, "message": "refused"}
        self.answer({"RemoteException": said}, code)

    def send(self, code, data, kind):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class NodeServer(ThreadingHTTPServer):
    """A NameNode or a DataNode on loopback."""

    def __init__(self, state, *, is_name_node):
        super().__init__(("127.0.0.1", 0), Node)
        self.state, self.is_name_node = state, is_name_node
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def webhdfs_server(folder):
    """Yield the state of a server over the files below `folder`, which are those of the root of HDFS."""
    state = WebHdfs(folder)
    nodes = [NodeServer(state, is_name_node=is_name_node) for is_name_node in (True, False)]
    state.name_node, state.data_node = (node.address for node in nodes)
    threads = [threading.Thread(target=node.serve_forever, args=(0.05,)) for node in nodes]
    for thread in threads:
        thread.start()
    try:
        yield state
    finally:
        for node, thread in zip(nodes, threads, strict=True):
            node.shutdown()
            node.server_close()
            thread.join()


def status(path, suffix):
    """Return a FileStatus of the documentation."""
    found = path.stat()
    is_folder = path.is_dir()
    return {
        "accessTime": int(found.st_atime * 1000),
        "blockSize": 0 if is_folder else 134217728,
        "group": "supergroup",
        "length": 0 if is_folder else found.st_size,
        "modificationTime": found.st_mtime_ns // 10**6,
        "owner": "hdfs",
        "pathSuffix": suffix,
        "permission": "755" if is_folder else "644",
        "replication": 0 if is_folder else 1,
        "type": "DIRECTORY" if is_folder else "FILE",
    }
