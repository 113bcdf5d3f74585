"""Our plugin of Elasticsearch: it answers only to who knows the node's token, and opens no port for other nodes.

Its source is GuardedNetwork.java. tools/node_plugin.py compiles it to guarded-network.jar.
"""

from importlib import resources
from pathlib import Path

from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.state import write_file

JAR = "guarded-network.jar"

_DESCRIPTOR = f"""\
description=HTTP for one client, and no transport
version={VERSION}
name=guarded-network
classname=imagesearch.GuardedNetwork
java.version=21
elasticsearch.version={VERSION}
extended.plugins=
has.native.controller=false
"""


def write_plugin(modules: Path) -> None:
    """Make `modules` a folder of Elasticsearch's modules with our plugin as its only one."""
    folder = modules / "guarded-network"
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "plugin-descriptor.properties", _DESCRIPTOR.encode())
    write_file(folder / JAR, resources.files(__package__).joinpath(JAR).read_bytes())


def classpath(jars: Path) -> list[Path]:
    """Return the jars that Java loads before all plugins. The plugin extends the classes of transport-netty4."""
    return sorted([*(jars / "lib").glob("*.jar"), *(jars / "modules" / "transport-netty4").glob("*.jar")])
