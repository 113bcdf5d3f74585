"""Start HDFS, Spark and three Elasticsearch nodes on this machine, to try docs/distributed.md. Ctrl-C ends them.

    .venv/bin/python -m tests.cluster.loopback_cluster [PHOTOS]

They are the real programs, and what the tests use: two DataNodes, two Spark workers of one core, all on 127.0.0.1, with
no password and no TLS. PHOTOS (default: the sample photos) are put into HDFS. It needs Java 17 or newer, the packages
of requirements-dev.txt, 4 GB of memory, and a network for the first start.
"""

import argparse
import getpass
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

from image_embeddings.config import SAMPLE_PHOTOS, load_settings
from image_embeddings.data_dir import make_data_dir
from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars
from tests.cluster import java, spark_cluster
from tests.cluster.hadoop_jars import fetch_jars
from tests.cluster.hdfs import Hdfs, hdfs_cluster
from tests.cluster.three_nodes import three_nodes

PHOTOS = "/photos"  # in HDFS


def main() -> None:
    parser = argparse.ArgumentParser(description="Start HDFS, Spark and three Elasticsearch nodes on this machine.")
    parser.add_argument("photos", nargs="?", type=Path, default=SAMPLE_PHOTOS, help="a folder (default: sample photos)")
    photos = parser.parse_args().photos
    if missing := spark_cluster.missing():
        raise SystemExit(missing)
    if not photos.is_dir():
        raise SystemExit(f"{photos} is no folder. Name the folder of your photos.")
    found = java.find_java()
    assert found, java.MISSING
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data_dir = load_settings().data_dir
    make_data_dir(data_dir)
    jars = data_dir / "elasticsearch" / f"jars-{VERSION}"
    if not (jars.is_dir() and (data_dir / "hadoop").is_dir()):
        print("The first start downloads Elasticsearch (44 MB) and Hadoop (104 MB).", flush=True)
    install_jars(jars, fetch=fetch_from_maven, notify=print)
    hadoop_jars = fetch_jars(data_dir / "hadoop")
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loopback-cluster-")))
        places = {name: folder / name for name in ("elasticsearch", "hdfs", "spark")}
        for place in places.values():
            place.mkdir()
        print("Starting three Elasticsearch nodes, HDFS and Spark. This takes about a minute …", flush=True)
        nodes = stack.enter_context(three_nodes(places["elasticsearch"], jars=jars))
        hdfs = stack.enter_context(hdfs_cluster(places["hdfs"], jars=hadoop_jars))
        spark = stack.enter_context(spark_cluster.spark_cluster(places["spark"]))
        put_photos(hdfs, photos)
        web = f"{hdfs.web_url}/webhdfs/v1{PHOTOS}"
        variables = {
            "ES_HOST": nodes.hosts,
            "IMAGE_DIR": f"{hdfs.web_url.replace('http', 'webhdfs')}{PHOTOS}",
            "SPARK": spark.master_url,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "JAVA_HOME": str(found.home),
        }
        print("All of them run. In another terminal, in this folder:\n")
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
        print("\nThere is no `hdfs` command here. This puts a photo into HDFS, and removes it (a space is %20):\n")
        print(f'curl -L -X PUT -T new.jpg "{web}/new.jpg?op=CREATE&overwrite=true&user.name={getpass.getuser()}"')
        print(f'curl -X DELETE "{web}/new.jpg?op=DELETE&user.name={getpass.getuser()}"')
        print("\nProcesses of Elasticsearch, to kill one:", *nodes.pids)
        print("\nEnter starts a killed one again. Ctrl-C ends all of them and removes all that they hold.", flush=True)
        for _ in sys.stdin:
            nodes.start()
            print("Three Elasticsearch nodes run, with all copies:", *nodes.pids, flush=True)
        Event().wait()  # it has no terminal


def put_photos(hdfs: Hdfs, photos: Path) -> None:
    """Put the files of a folder into HDFS, and say which names HDFS cannot have."""
    for file in sorted(path for path in photos.rglob("*") if path.is_file()):
        name = file.relative_to(photos).as_posix()
        if ":" in name:
            print(f"{name} is left out: no name in HDFS may have a colon.")
        else:
            hdfs.put(file, f"{PHOTOS}/{name}")


if __name__ == "__main__":
    main()
