"""The files that are written for Elasticsearch before each start, and which version of it wrote the data."""

import json
from pathlib import Path

from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.plugin import write_plugin
from image_embeddings.embedded_node.state import read_json, write_json

# The default watermarks are shares of the disk (85, 90, 95 %). To them, a laptop's disk with 50 GB free is "full".
# Absolute watermarks still stop writes before the disk is so full that the node's data could be damaged.
_SETTINGS = """\
cluster.name: image-search
node.name: embedded
discovery.type: single-node
network.host: 127.0.0.1
http.port: {http_port}
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


def make_folders(home: Path) -> None:
    """Make the folders of the node, with all that does not differ from start to start."""
    for folder in ("config", "data", "logs"):
        (home / folder).mkdir(exist_ok=True)
    (home / "config" / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    write_plugin(home / "modules")


def write_settings(home: Path, *, http_port: int) -> None:
    """Write the node's settings, and that this version writes the data from now on."""
    write_json(home / "node.json", {"version": VERSION})
    settings = _SETTINGS.format(
        http_port=http_port,
        data=json.dumps(str(home / "data")),  # A JSON string is a YAML string, whatever is in the path.
        logs=json.dumps(str(home / "logs")),
    )
    (home / "config" / "elasticsearch.yml").write_text(settings, encoding="utf-8")


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
