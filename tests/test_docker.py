"""The app's image, as far as it can be tested without a Docker engine: its parts are run one by one."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from tests.dockerfiles import ROOT, in_build_context, instructions
from tests.waiting import LONG, wait_for

DOCKERFILE = ROOT / "Dockerfile"
ENTRYPOINT = ROOT / "tools" / "serve.sh"
INSTRUCTIONS = instructions(DOCKERFILE)


def arguments(instruction: str) -> list[str]:
    return [rest for word, rest in INSTRUCTIONS if word == instruction]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in arguments("ENV") for pair in shlex.split(rest))


def copied() -> list[str]:
    return [source for rest in arguments("COPY") for source in shlex.split(rest)[:-1]]


# The Dockerfile


def test_hadolint_finds_no_problem() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint ignore" not in DOCKERFILE.read_text()


def test_base_image_is_pinned_to_a_patch_release() -> None:
    (base,) = arguments("FROM")
    assert base.startswith("python:3.12.")
    assert "-slim-" in base


def test_every_copied_path_is_in_the_repository() -> None:
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_every_copied_path_is_in_the_build_context() -> None:
    assert [source for source in copied() if not in_build_context(source, ROOT / ".dockerignore")] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".data/node/elasticsearch.yml",
        "app/.env",
        "app/conf/ca.crt",
        "app/__pycache__/pages.cpython-312.pyc",
        "es-docker/.env",
        "tests/test_docker.py",
        "id_rsa",
    ],
)
def test_private_and_needless_files_stay_out_of_the_build_context(path: str) -> None:
    assert not in_build_context(path, ROOT / ".dockerignore")


@pytest.mark.parametrize("path", ["app/templates/index.html", "app/static/images/birds/owl.jpg", "LICENSE"])
def test_what_the_app_needs_is_in_the_build_context(path: str) -> None:
    assert in_build_context(path, ROOT / ".dockerignore")


def test_nothing_runs_as_root() -> None:
    words = [word for word, _ in INSTRUCTIONS]
    assert arguments("USER") == ["10001:10001"]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert any("useradd" in rest and "--uid 10001" in rest for rest in arguments("RUN"))


def test_volumes_belong_to_the_user_before_they_are_declared() -> None:
    volumes = json.loads(arguments("VOLUME")[0])
    (made,) = [rest for rest in arguments("RUN") if "install -d -o app" in rest]
    assert [volume for volume in volumes if volume not in made.split()] == []


def test_settings_point_to_the_volumes_and_the_photos() -> None:
    from image_embeddings import load_settings

    settings = load_settings(environment())
    assert (settings.data_dir, settings.image_dir) == (Path("/data"), Path("/photos"))


def test_model_cache_is_the_models_volume() -> None:
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    environ = {"PATH": os.environ["PATH"], "HF_HOME": environment()["HF_HOME"]}
    assert subprocess.check_output([sys.executable, "-c", code], env=environ, text=True) == "/models/hub\n"


def test_port_is_the_same_everywhere() -> None:
    assert arguments("EXPOSE") == ["5001"]
    assert "0.0.0.0:5001" in json.loads(arguments("CMD")[0])
    assert "127.0.0.1:5001/healthz" in arguments("HEALTHCHECK")[0]


def test_command_and_entrypoint_are_in_exec_form() -> None:
    assert json.loads(arguments("ENTRYPOINT")[0]) == ["sh", "/app/tools/serve.sh"]
    assert json.loads(arguments("CMD")[0])[0] == "gunicorn"


def test_app_has_the_names_of_the_command_and_the_healthcheck() -> None:
    from app import create_app

    assert (ROOT / "app" / "gunicorn.conf.py").is_file()
    assert "/healthz" in {rule.rule for rule in create_app().url_map.iter_rules()}


@pytest.mark.parametrize("command", ["index", "node start", "node stop --if-unused"])
def test_commands_of_the_image_exist(command: str) -> None:
    subprocess.run([sys.executable, "-m", "image_embeddings", *command.split(), "--help"], check=True, cwd=ROOT)


# Installing: the Dockerfile's own line, run with a stand-in for Python that prints its arguments


LOCKS = ("requirements.lock", "requirements-torch.lock")


def install(folder: Path, torch_index: str) -> list[list[str]]:
    """Return the arguments of each call of pip."""
    (line,) = [rest for rest in arguments("RUN") if "pip install" in rest]
    for name in LOCKS:
        shutil.copy(ROOT / name, folder)
    stand_in(folder / "bin" / "python", 'printf "%s " "$@"; echo')
    environ = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TORCH_INDEX": torch_index}
    calls = subprocess.check_output(["sh", "-ec", line], cwd=folder, env=environ, text=True).splitlines()
    return [call.split() for call in calls]


def stand_in(program: Path, script: str) -> None:
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def default_torch_index() -> str:
    (argument,) = arguments("ARG")
    return argument.removeprefix("TORCH_INDEX=")


def test_default_index_is_the_one_of_the_requirements() -> None:
    assert f"--extra-index-url {default_torch_index()}\n" in (ROOT / "requirements.txt").read_text()


def test_torch_alone_comes_from_the_index_of_the_build_argument(tmp_path: Path) -> None:
    torch, others = install(tmp_path, "https://example.test/whl/cu126")
    version = re.search(r"^torch==\S+$", (ROOT / "requirements.txt").read_text(), re.M)
    assert version
    assert torch[-4:] == ["--index-url", "https://example.test/whl/cu126", "-r", "torch.txt"]
    assert others[-3:] == ["--require-hashes", "-r", "requirements.lock"]
    assert "--index-url" not in others


def test_empty_build_argument_means_pypi_with_hashes(tmp_path: Path) -> None:
    calls = install(tmp_path, "")
    assert [call[-3:] for call in calls] == [["--require-hashes", "-r", lock] for lock in reversed(LOCKS)]
    assert not any("--index-url" in call for call in calls)


def test_a_torch_that_cannot_be_installed_ends_the_build(tmp_path: Path) -> None:
    (line,) = [rest for rest in arguments("RUN") if "pip install" in rest]
    shutil.copy(ROOT / LOCKS[1], tmp_path)
    stand_in(tmp_path / "bin" / "python", "exit 1")
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TORCH_INDEX": "x"}
    assert subprocess.run(["sh", "-ec", line], cwd=tmp_path, env=environ, check=False).returncode != 0


def test_pip_adds_nothing_and_leaves_no_cache_in_the_image(tmp_path: Path) -> None:
    for call in install(tmp_path, "x"):
        assert {"--no-cache-dir", "--no-deps", "--only-binary"} <= set(call)


def locked(name: str) -> dict[str, list[str]]:
    """Return the hashes of each version of a lock file, by `name==version`."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if re.match(r"\w", line):
            found[line.split()[0]] = []
        elif line.startswith("    --hash="):
            found[list(found)[-1]].append(line.strip(" \\").removeprefix("--hash="))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_of_a_lock_has_hashes(name: str) -> None:
    for version, hashes in locked(name).items():
        assert hashes, version
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), version


def test_the_versions_are_those_that_are_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {line.split()[0] for line in lines if not line.startswith("#")}
    # On other indexes PyTorch needs no packages of CUDA, so the constraints need not name them.
    assert locked(LOCKS[0]).keys() | {each for each in locked(LOCKS[1]) if each.startswith("torch=")} <= tested


def test_the_locks_have_every_requirement() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    asked = [re.sub(r"\[.*\]", "", line) for line in lines if re.match(r"\w", line)]
    versions = {each for name in LOCKS for each in locked(name)}
    names = {each.partition("==")[0] for each in versions}
    assert [each for each in asked if each not in (versions if "==" in each else names)] == []


# The compose example


def compose_example() -> str:
    (found,) = re.findall(r"```yaml\n(services:.*?)```", (ROOT / "docs" / "docker.md").read_text(), re.S)
    return str(found)


def test_the_compose_example_follows_the_specification_and_gives_the_container_little() -> None:
    PyCompose.from_yaml(compose_example())
    photos = yaml.safe_load(compose_example())["services"]["photos"]
    assert photos["read_only"] is True
    assert photos["cap_drop"] == ["ALL"]
    assert photos["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit", "tmpfs"} <= photos.keys()
    written = [place.split(":")[1] for place in photos["volumes"] if not place.endswith(":ro")]
    assert written == json.loads(arguments("VOLUME")[0])
    assert all(place.startswith("127.0.0.1:") for place in photos["ports"])


# The healthcheck's command, run against a small server


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield http_server
        http_server.shutdown()
        thread.join()


def check_health(port: int, **environ: str) -> int:
    _, _, command = arguments("HEALTHCHECK")[0].partition("CMD ")
    python, *words = [word.replace(":5001/", f":{port}/") for word in json.loads(command)]
    assert python == "python"
    return subprocess.run([sys.executable, *words], env=environ, capture_output=True).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (404, 1), (500, 1), (503, 1)])
def test_health_follows_the_status_of_healthz(server: HTTPServer, status: int, code: int) -> None:
    server.status = status
    assert check_health(server.server_port) == code


def test_a_missing_server_is_unhealthy(server: HTTPServer) -> None:
    port = server.server_port
    server.server_close()
    assert check_health(port) == 1


def test_the_healthcheck_uses_no_proxy(server: HTTPServer) -> None:
    server.status = 200
    assert check_health(server.server_port, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9") == 0


# The entrypoint, run with stand-ins for python and gunicorn that record their calls


# Records the calls; `node status` is not recorded, and says that no node runs.
NODE_STATUS = '[ "$4" != status ] || exit "${NODE_RUNS:-1}"; echo "$*" >>"$NOTES"'


@pytest.fixture
def image(tmp_path: Path) -> Path:
    stand_in(tmp_path / "bin" / "python", f'{NODE_STATUS}; [ "$3" != index ] || exit "${{INDEX_STATUS:-0}}"')
    stand_in(tmp_path / "bin" / "gunicorn", 'echo "gunicorn $*" >>"$NOTES"; exit "${GUNICORN_STATUS:-0}"')
    return tmp_path


def start(image: Path, *command: str, **environ: str) -> "subprocess.Popen[str]":
    paths = {"PATH": f"{image / 'bin'}:{os.environ['PATH']}", "NOTES": str(image / "notes")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(["sh", ENTRYPOINT, *command], env={**paths, **environ}, text=True, **pipes)


def run(image: Path, *command: str, **environ: str) -> tuple[int, list[str]]:
    with start(image, *command, **environ) as process:
        process.communicate(timeout=LONG)
    return process.returncode, notes(image)


def notes(image: Path) -> list[str]:
    file = image / "notes"
    return (
        [line.removeprefix("-m image_embeddings ") for line in file.read_text().splitlines()] if file.exists() else []
    )


def wait_for_note(image: Path, note: str) -> None:
    wait_for(lambda: note in notes(image), what=lambda: f"{note!r} is not among {notes(image)}")


def test_web_server_starts_after_indexing_and_the_node_stops_last(image: Path) -> None:
    assert run(image, "gunicorn", "app:create_app()") == (
        0,
        ["index", "gunicorn app:create_app()", "node stop --if-unused"],
    )


@pytest.mark.parametrize("status", ["1", "2", "137"])
def test_web_server_serves_what_is_indexed_when_indexing_fails(image: Path, status: str) -> None:
    assert run(image, "gunicorn", INDEX_STATUS=status) == (0, ["index", "gunicorn ", "node stop --if-unused"])
    assert run(image, "gunicorn", INDEX_STATUS=status, GUNICORN_STATUS="3")[0] == 3


def test_other_commands_run_without_indexing_or_a_server(image: Path) -> None:
    assert run(image, "python", "-m", "image_embeddings", "status") == (0, ["status", "node stop --if-unused"])


def test_exit_status_is_the_one_of_the_command(image: Path) -> None:
    assert run(image, "gunicorn", GUNICORN_STATUS="3")[0] == 3
    assert run(image, "sh", "-c", "exit 2")[0] == 2


@pytest.mark.parametrize("cluster", [{"ES_HOST": "https://elasticsearch:9200"}, {"ES_CLOUD_ID": "photos:abc"}])
def test_a_cluster_is_neither_indexed_into_nor_stopped(image: Path, cluster: dict[str, str]) -> None:
    assert run(image, "gunicorn", **cluster)[1] == ["gunicorn "]


def test_a_cluster_is_indexed_into_if_the_setting_asks_for_it(image: Path) -> None:
    assert run(image, "gunicorn", ES_HOST="https://a:9200", INDEX_FIRST="yes")[1] == ["index", "gunicorn "]


def test_a_node_that_ran_before_keeps_running(image: Path) -> None:
    assert run(image, "gunicorn", NODE_RUNS="0")[1] == ["index", "gunicorn "]


def test_standard_input_reaches_the_command(image: Path) -> None:
    with start(image, "cat") as process:
        assert process.communicate("photos\n", timeout=LONG)[0] == "photos\n"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_the_web_server_gracefully_and_then_the_node(image: Path, sent: signal.Signals) -> None:
    graceful = (
        'trap \'sleep 0.3; echo finished >>"$NOTES"; exit 0\' TERM; echo up >>"$NOTES"; while :; do sleep 0.1; done'
    )
    stand_in(image / "bin" / "gunicorn", graceful)
    with start(image, "gunicorn") as process:
        wait_for_note(image, "up")
        process.send_signal(sent)
        assert process.wait(timeout=LONG) == 0
    assert notes(image) == ["index", "up", "finished", "node stop --if-unused"]


@pytest.mark.parametrize(
    ("before", "indexing"),
    [("", "exec sleep 900"), ('trap "exit 0" TERM; ', "while :; do sleep 0.1; done")],
    ids=["indexing ends by the signal", "indexing ends well"],
)
def test_no_web_server_starts_after_a_signal_while_indexing(image: Path, before: str, indexing: str) -> None:
    stand_in(image / "bin" / "python", f'{before}{NODE_STATUS}; [ "$3" != index ] || {indexing}')
    with start(image, "gunicorn") as process:
        wait_for_note(image, "index")
        process.terminate()
        assert process.wait(timeout=LONG) == 128 + signal.SIGTERM
    assert notes(image) == ["index", "node stop --if-unused"]


# The password: the entrypoint with the real command, and a stand-in for gunicorn that notes which file it is given


@pytest.fixture
def container(tmp_path: Path) -> Path:
    stand_in(tmp_path / "bin" / "python", f'exec "{sys.executable}" "$@"')
    stand_in(tmp_path / "bin" / "gunicorn", 'echo "${APP_PASSWORD_FILE:-none}" >>"$NOTES"')
    return tmp_path


def run_container(container: Path, **environ: str) -> tuple[int, str]:
    """Run the container once, with the environment of its image; return its status and its log."""
    image = {**environment(), "DATA_DIR": str(container / "data"), "ES_HOST": "http://127.0.0.1:9"}
    with start(container, "gunicorn", PYTHONPATH=str(ROOT), **{**image, **environ}) as process:
        _, log = process.communicate(timeout=LONG)
    return process.returncode, log


def test_the_container_makes_a_password_and_shows_it_once(container: Path) -> None:
    status, log = run_container(container)
    file = container / "data" / "password"
    password = file.read_text().strip()
    assert (status, notes(container)) == (0, [str(file)])
    assert log.count(password) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert run_container(container) == (0, "")
    assert file.read_text().strip() == password
    assert notes(container) == [str(file)] * 2


@pytest.mark.parametrize(
    "answer",
    [
        {"APP_PASSWORD": "my own password"},
        {"ALLOW_WITHOUT_PASSWORD": "yes"},
        {"AUTH_HEADER": "Remote-User", "TRUSTED_PROXIES": "172.16.0.0/12"},
    ],
)
def test_the_container_makes_no_password_if_the_settings_say_who_may_come_in(
    container: Path, answer: dict[str, str]
) -> None:
    assert run_container(container, **answer) == (0, "")
    assert notes(container) == ["none"]
    assert not (container / "data").exists()


def test_tokens_go_with_the_made_password(container: Path) -> None:
    assert run_container(container, API_TOKENS="0123456789abcdef")[0] == 0
    assert notes(container) == [str(container / "data" / "password")]


@pytest.mark.parametrize("answer", [{"APP_PASSWORD": "short"}, {"DATA_DIR": "/proc/nowhere"}])
def test_nothing_is_served_if_the_password_cannot_be_used_or_made(container: Path, answer: dict[str, str]) -> None:
    status, log = run_container(container, **answer)
    assert (status, notes(container)) == (1, [])
    assert log.startswith("Error: ")


def test_other_commands_of_the_container_make_no_password(container: Path) -> None:
    with start(
        container, "true", PYTHONPATH=str(ROOT), **{**environment(), "ES_HOST": "http://127.0.0.1:9"}
    ) as process:
        assert process.communicate(timeout=LONG) == ("", "")
