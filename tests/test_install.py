"""`make` and tools/install.sh, with stand-ins for Python: nothing is installed or downloaded."""

import shutil
import socket
import subprocess
import sys

import pytest

from image_embeddings.config import ROOT
from tests.waiting import LONG

SCRIPT = ROOT / "tools" / "install.sh"
TOOLS = ("sh", "make", "rm", "cp", "mkdir", "chmod", "cat", "grep", "mktemp", "touch")
# Claims to be another version, makes a virtual environment of itself, and records the calls of pip and uv.
FAKE = """\
#!/bin/sh
case "$1" in
    -c) exec "{real}" -I -c 'import sys; sys.version_info = ({major}, {minor}, 0); exec(sys.argv[1])' "$2" ;;
    --version) echo "Python {major}.{minor}.0" ;;
    -) cat >/dev/null; exit {index_answers} ;;
    -m) case "$2" in
        venv) {venv} ;;
        pip) echo "{major}.{minor}: $*" >>pip.log; case "$*" in *uv==*) {uv} ;; esac ;;
        esac ;;
esac
"""
UV = """printf '#!/bin/sh\\necho "uv $UV_DEFAULT_INDEX $*" >>pip.log; exit %s\\n' {status} >.venv/bin/uv
chmod +x .venv/bin/uv"""
MAKES_VENV = 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python"'


@pytest.fixture
def place(tmp_path):
    """An empty project folder, and a bin folder that has the tools but no Python."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f"{tool} is missing here"
        (tmp_path / "bin" / tool).symlink_to(found)
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / name).write_text("--extra-index-url x\npackage\n" if name == "requirements.txt" else "package\n")
    return tmp_path


def fake_python(place, name, version, *, venv=MAKES_VENV, index_answers=0, uv=None):
    path = place / "bin" / name
    major, minor = version
    uv = uv or UV.format(status=0)
    text = FAKE.format(real=sys.executable, major=major, minor=minor, venv=venv, index_answers=index_answers, uv=uv)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def install(place, **environ):
    return subprocess.run(
        ["sh", str(SCRIPT), "requirements.txt"],
        cwd=place,
        env={"PATH": str(place / "bin"), "TMPDIR": str(place), **environ},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def pip_log(place):
    log = place / "pip.log"
    return log.read_text() if log.exists() else ""


@pytest.mark.parametrize("script", sorted((ROOT / "tools").glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_valid_shell(script):
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize("version", [(3, 9), (3, 14)])
def test_a_python_that_is_too_old_or_new_is_refused_in_clear_words(place, version):
    fake_python(place, "python3", version)
    done = install(place)
    assert done.returncode == 1
    assert "needs Python 3.10, 3.11, 3.12 or 3.13" in done.stderr
    assert f"found: Python {version[0]}.{version[1]}.0" in done.stderr
    assert "make run PYTHON=" in done.stderr
    assert not (place / ".venv").exists()


def test_a_missing_python_is_reported_too(place):
    done = install(place)
    assert done.returncode == 1
    assert "found: no python3" in done.stderr


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_a_supported_python_makes_the_environment(place, version):
    fake_python(place, "python3", version)
    done = install(place)
    assert done.returncode == 0, done.stderr
    assert pip_log(place).startswith(f"{version[0]}.{version[1]}: -m pip install")


def test_a_python_3_12_beside_a_3_14_is_chosen(place):
    fake_python(place, "python3", (3, 14))
    fake_python(place, "python3.12", (3, 12))
    done = install(place)
    assert "Making .venv with Python 3.12.0" in done.stdout
    assert pip_log(place).startswith("3.12:")


def test_a_named_python_goes_first_even_with_a_blank_in_its_path(place):
    fake_python(place, "python3", (3, 13))
    named = fake_python(place, "other pythons/python3.11", (3, 11))
    assert "Making .venv with Python 3.11.0" in install(place, PYTHON=str(named)).stdout


def test_a_working_environment_is_kept(place):
    fake_python(place, "python3", (3, 12))
    install(place)
    assert "Making .venv" not in install(place).stdout


def test_an_environment_of_an_unsupported_python_is_made_anew(place):
    fake_python(place, "python3", (3, 12))
    fake_python(place, "../.venv/bin/python", (3, 9))
    assert "Making .venv with Python 3.12.0" in install(place).stdout


def test_a_python_without_venv_says_what_to_install(place):
    fake_python(place, "python3", (3, 12), venv='mkdir -p "$3"; exit 1')
    done = install(place)
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr
    assert not (place / ".venv").exists()


def test_uv_installs_from_both_indexes_what_fits_best(place):
    fake_python(place, "python3", (3, 12))
    assert install(place).returncode == 0
    *_, last = pip_log(place).splitlines()
    assert last.startswith("uv  pip install")
    assert last.endswith("--index-strategy unsafe-best-match -r ./requirements.txt")


@pytest.mark.parametrize("uv", ["exit 1", UV.format(status=2)], ids=["cannot be had", "fails"])
def test_pip_installs_if_uv_cannot(place, uv):
    fake_python(place, "python3", (3, 12), uv=uv)
    done = install(place)
    assert done.returncode == 0, done.stderr
    assert "uv cannot install it here" in done.stdout
    assert pip_log(place).endswith("-m pip install --disable-pip-version-check -r ./requirements.txt\n")


def test_uv_uses_the_index_of_pips_settings(place):
    fake_python(place, "python3", (3, 12))
    install(place, PIP_INDEX_URL="https://packages.example/simple")
    assert "uv https://packages.example/simple pip install" in pip_log(place)


def test_an_index_that_does_not_answer_is_left_out(place):
    fake_python(place, "python3", (3, 12), index_answers=1)
    done = install(place)
    assert "does not answer" in done.stdout
    *_, last = pip_log(place).splitlines()
    assert last.startswith("uv  pip install")
    assert not last.endswith("-r ./requirements.txt")


# Make: on a copy, so that no rule of it can reach the real environment


@pytest.fixture
def project(place):
    for folder in (".venv", "tools"):
        (place / folder).mkdir()
    for script in (SCRIPT, SCRIPT.with_name("serve.sh")):
        shutil.copy(script, place / "tools")
    shutil.copy(ROOT / "Makefile", place / "Makefile")
    for name in (".installed", ".installed-dev"):
        (place / ".venv" / name).touch()
    (place / "show.mk").write_text('show:\n\t@echo "IMAGE_DIR=[$$IMAGE_DIR] INDEX_NAME=[$$INDEX_NAME]"\n')
    return place


def make(project, *arguments, **environ):
    done = subprocess.run(
        ["make", *arguments],
        cwd=project,
        env={"PATH": str(project / "bin"), **environ},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def noted(project, *arguments):
    """Return the calls of python and gunicorn by make, each after its IMAGE_DIR; stand-ins record them."""
    (project / ".venv" / "bin").mkdir()
    for name in ("python", "gunicorn"):
        program = project / ".venv" / "bin" / name
        program.write_text(f'#!/bin/sh\necho "[$IMAGE_DIR] {name} $*" >>notes\n[ "$4" != status ]\n')
        program.chmod(0o755)
    make(project, *arguments)
    return [line for line in (project / "notes").read_text().splitlines() if " node " not in line]


def test_run_indexes_the_photos_and_serves_them_at_the_port(project):
    check, index, serve = noted(project, "run", "PHOTOS=/tmp/my photos", "PORT=5002")
    assert check.endswith("image_embeddings/serving/port_check.py 127.0.0.1 5002")
    assert index == "[/tmp/my photos] python -m image_embeddings index"
    assert serve.startswith("[/tmp/my photos] gunicorn")
    assert "--bind 127.0.0.1:5002 app:create_app()" in serve


def test_serve_only_serves(project):
    _check, serve = noted(project, "serve")
    assert "gunicorn" in serve


def test_make_without_a_target_is_make_run(project):
    assert make(project, "-n") == make(project, "-n", "run")


@pytest.mark.parametrize("folder", ["/tmp/x", "photos", "../photos", "~/photos", "/tmp/my photos"])
def test_the_variable_photos_becomes_image_dir(project, folder):
    assert f"IMAGE_DIR=[{folder}]" in make(project, "-f", "Makefile", "-f", "show.mk", "show", f"PHOTOS={folder}")


def test_without_the_variable_photos_image_dir_stays_unchanged(project):
    assert "IMAGE_DIR=[/a]" in make(project, "-f", "Makefile", "-f", "show.mk", "show", IMAGE_DIR="/a")


def test_a_setting_on_the_command_line_of_make_reaches_the_commands(project):
    assert "INDEX_NAME=[b]" in make(project, "-f", "Makefile", "-f", "show.mk", "show", "INDEX_NAME=b")


def test_a_host_of_the_environment_does_not_let_the_network_in(project):
    assert '--bind "127.0.0.1:5001"' in make(project, "-n", "serve", HOST="example.org")


def test_a_host_on_the_command_line_lets_the_network_in(project):
    assert '--bind "0.0.0.0:5001"' in make(project, "-n", "serve", "HOST=0.0.0.0")


def test_a_host_that_others_reach_is_checked_before_anything_is_indexed(project):
    _, check, index, serve = noted(project, "run", "HOST=0.0.0.0")
    assert check.endswith("python -m image_embeddings serve --check --host 0.0.0.0 --port 5001")
    assert index.endswith("index")
    assert "gunicorn" in serve


def check_port(*arguments):
    command = [sys.executable, "-I", str(ROOT / "image_embeddings" / "serving" / "port_check.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_free_port_passes_without_a_message():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert (check_port("127.0.0.1", str(port)).returncode, check_port("127.0.0.1", str(port)).stderr) == (0, "")


def test_a_port_that_cannot_be_used_is_reported_before_anything_is_indexed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        for port in (taken, "abc", "99999"):
            done = check_port("127.0.0.1", port)
            assert (done.returncode, "make run PORT=" in done.stderr) == (1, True)
