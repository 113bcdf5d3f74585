"""The files that are written for Elasticsearch before each start, and which version of it wrote the data."""

import json
from pathlib import Path

from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.plugin import write_plugin
from image_embeddings.embedded_node.state import read_json, write_file, write_json

# The default watermarks are shares of the disk (85, 90, 95 %). To them, a laptop's disk with 50 GB free is "full".
# Absolute watermarks still stop writes before the disk is so full that the node's data could be damaged.
_SETTINGS = """\
cluster.name: image-search
node.name: embedded
discovery.type: single-node
network.host: 127.0.0.1
path.data: {data}
path.logs: {logs}
action.auto_create_index: false
cluster.routing.allocation.disk.watermark.low: 300mb
cluster.routing.allocation.disk.watermark.high: 200mb
cluster.routing.allocation.disk.watermark.flood_stage: 100mb
"""

_LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:es.logs.base_path}/node.log
appender.file.filePattern = ${sys:es.logs.base_path}/node-%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{1} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
# The libraries it misses at every start (zstd, SIMD in C) are not on Maven Central, and nothing here needs them.
logger.native.name = org.elasticsearch.nativeaccess
logger.native.level = error
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


def check_version(home: Path) -> None:
    """Raise NodeDataError if a newer version of Elasticsearch wrote the data."""
    written_by = str(read_json(home / "node.json").get("version", VERSION))
    if _version_key(written_by) > _version_key(VERSION):
        raise failures.data_error(home, f"{written_by}, which is newer than {VERSION}")


def write_files(home: Path) -> None:
    """Make the folders of the node and write its files, and that this version writes the data from now on.

    The files are the same at each start, because another process may be reading them: if a command was killed, its
    process may still be starting. What differs from start to start, port and token, only the process knows.
    """
    for folder in ("config", "data", "logs"):
        (home / folder).mkdir(exist_ok=True)
    settings = _SETTINGS.format(
        data=json.dumps(str(home / "data")),  # A JSON string is a YAML string, whatever is in the path.
        logs=json.dumps(str(home / "logs")),
    )
    write_file(home / "config" / "elasticsearch.yml", settings.encode())
    write_file(home / "config" / "log4j2.properties", _LOGGING.encode())
    write_plugin(home / "modules")
    write_json(home / "node.json", {"version": VERSION})


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
