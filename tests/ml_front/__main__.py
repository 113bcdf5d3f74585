"""The front by hand, before an embedded node of its own, until Ctrl-C: see tests.ml_front."""

import argparse
import signal
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import trustme

from image_embeddings.embedded_node.node import EmbeddedNode
from tests.ml_front import LICENCES, ml_front
from tests.tls_front import UPLOADER, ca_file


def main() -> None:
    """Start node and front, print the settings for them, and wait; leave no process and no model behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml_front", description=__doc__)
    parser.add_argument("--port", type=int, default=9243)
    parser.add_argument("--data", type=Path, help="keep the index in this folder (default: a temporary one)")
    parser.add_argument("--licence", choices=LICENCES, default="trial")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ml-front-")))
        data = options.data or scratch
        data.mkdir(parents=True, exist_ok=True)
        node = EmbeddedNode(data / "elasticsearch")
        try:
            url = node.start(notify=print).client_url
            ca = trustme.CA()
            front = stack.enter_context(
                ml_front(
                    url, folder=scratch / "models", ca=ca, port=options.port, licence=options.licence, steerable=True
                )
            )
            _describe(front.url, ca_file(ca, data))
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopping.", flush=True)
        finally:
            node.stop()


def _describe(url: str, ca_certs: Path) -> None:
    print("Elasticsearch with a stand-in for machine learning. Settings (in .env, or after export):\n")
    print(f"ES_HOST={url}\nES_USER={UPLOADER[0]}\nES_PWD={UPLOADER[1]}\nES_CA_CERTS={ca_certs}\n")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    main()
