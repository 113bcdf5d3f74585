"""The commands as people run them, on the real node, with the built-in model if the model does not matter.

`start` runs a command in a process of its own, if the test is about messages of libraries, signals or exit statuses.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from image_embeddings.cli import main
from image_embeddings.cli.create_image_embeddings import create_image_embeddings
from image_embeddings.embedded_node.jars import VERSION
from tests.commands import MODULE, ROOT, SCRIPT, run_here, run_process
from tests.goldens import check_golden
from tests.pictures import colour_photos, save
from tests.tiny_models import make_clip_folder, make_text_folder
from tests.waiting import LONG, wait_for

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    return str(make_clip_folder(tmp_path_factory.mktemp("models") / "tiny-clip"))


@pytest.fixture
def environ(elasticsearch_url, data_dir, photos, name):
    """The settings of a command."""
    return {
        "ES_HOST": elasticsearch_url,
        "INDEX_NAME": name,
        "DATA_DIR": str(data_dir),
        "IMAGE_DIR": str(photos),
        "IMAGE_MODEL": "conse",
        "COLUMNS": "100",
    }


@pytest.fixture
def run(environ):
    """Run one of our commands in this process."""

    def go(*arguments, expect=0, command=main, columns=80, **changes):
        done = run_here({**environ, **changes}, *arguments, command=command, columns=columns)
        assert done.exit_code == expect, done.stderr
        return done

    return go


@pytest.fixture
def start(environ):
    """Run one of our commands in a process of its own."""

    def go(*arguments, expect=0, command=MODULE, **changes):
        done = run_process({**environ, **changes}, *arguments, command=command)
        assert done.returncode == expect, done.stderr
        return done

    return go


def settled(text):
    """Return the output, with all that differs from run to run replaced."""
    text = re.sub(r"\d+\.\d s\)", "SECONDS)", text)
    return re.sub(r"-?\d\.\d{3}", "COSINE", text)


COMMANDS = [
    "",
    "index",
    "search",
    "status",
    "evaluate",
    "export",
    "export parquet",
    "export npy",
    "import",
    "text-model",
    "text-model install",
    "node",
    "node start",
    "serve",
    "make-password",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_equals_its_golden_file(run, command):
    shown = run(*command.split(), "--help", columns=100).stdout
    check_golden(f"help-{command.replace(' ', '-') or 'main'}.txt", shown)


def test_a_process_of_its_own_shows_the_same_help(start):
    check_golden("help-main.txt", start("--help").stdout)


def test_the_help_of_the_familiar_script_equals_its_golden_file(start):
    check_golden("help-create-image-embeddings.txt", start("--help", command=SCRIPT).stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["index", "--batch-size", "0"],
        ["index", "a", "b"],
        ["index", "--watch", "--discard-rebuild"],
        ["search"],
        ["search", "red", "--like", "x"],
        ["search", "red", "-k", "many"],
        ["node", "restart"],
    ],
)
def test_wrong_usage_exits_with_two_and_names_the_right_usage(run, arguments):
    assert "Usage:" in run(*arguments, expect=2).stderr


def test_a_session_from_first_index_to_search(start, photos):
    first = start("index")
    check_golden("index-first.txt", settled(first.stdout + first.stderr))
    check_golden("index-again.txt", settled(start("index").stdout))
    check_golden("search-like.txt", settled(start("search", "--like", "warm/red.png", "-k", "3").stderr))
    found = start("search", "--image", str(photos / "warm" / "red.png"), "-k", "1").stdout
    assert found == "   1   1.000  warm/red.png\n"


def test_hits_that_have_words_of_the_text_are_marked(run):
    run("index")
    lines = run("search", "red", "-k", "6").stdout.splitlines()
    assert len(lines) == 6
    (marked,) = [line for line in lines if line.endswith("(has words of the text)")]
    assert "warm/red.png" in marked


def test_a_text_that_says_nothing_is_told(run):
    run("index")
    said = "The text says nothing that the model knows."
    assert said in run("search", "!!!").stderr
    assert said not in run("search", "red").stderr
    assert json.loads(run("search", "the of", "--json").stdout)["understood"] is False


def test_json_is_for_programs(run):
    report = json.loads(run("index", "--json").stdout)
    assert (report["found"], report["encoded"], report["skipped"]) == (6, 6, [])
    answer = json.loads(run("search", "red", "-k", "2", "--json").stdout)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert {hit["by_words"] for hit in answer["hits"]} <= {True, False}
    assert (answer["total"], answer["model_id"]) == (6, "conse")
    status = json.loads(run("status", "--json").stdout)
    assert (status["photos"], status["model"], status["embedded_node"]) == (6, "conse", False)
    assert status["health"] == {"status": "green", "nodes": 1, "missing": 0}


def test_skipped_files_are_named_with_the_reason_and_the_rest_is_indexed(run, photos):
    (photos / "bad.jpg").write_text("no photo")
    (photos / "empty.png").touch()
    (photos / "away.jpg").symlink_to("/dev/null")
    done = run("index")
    assert "9 photos: 6 encoded" in done.stdout
    assert "3 skipped" in done.stdout
    assert "skipped 'bad.jpg': is not an image" in done.stderr
    assert "skipped 'empty.png': is empty" in done.stderr
    assert "skipped 'away.jpg': a link" in done.stderr or "skipped 'away.jpg': a pipe" in done.stderr


def test_a_file_name_cannot_send_control_characters_to_the_terminal(run, start, photos):
    name = "\x1b[31mred\nline.png"
    (photos / "warm" / "red.png").rename(photos / name)
    (photos / f"bad-{name}").write_bytes(b"no photo")
    done = start("index")
    assert "\x1b" not in done.stdout + done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("skipped ")]) == 2


def test_photos_changed_by_the_metadata_file_are_counted(run, tmp_path):
    run("index")
    (tmp_path / "photos.csv").write_text("file,label\nwarm/red.png,red\n")
    assert "6 unchanged, 1 described anew, 0 removed" in run("index", "--metadata", str(tmp_path / "photos.csv")).stdout


def test_a_file_in_place_of_the_folder_and_a_missing_folder_have_different_errors(run, photos):
    assert "red.png is not a folder" in run("index", str(photos / "warm" / "red.png"), expect=1).stderr
    assert "There is no folder" in run("index", str(photos / "nowhere"), expect=1).stderr


def test_a_folder_of_unreadable_photos_only_is_a_failure(run, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_text("no photo")
    assert "No photo could be indexed" in run("index", str(tmp_path / "bad"), expect=1).stderr


def test_an_empty_folder_is_a_failure_that_says_so(run, tmp_path):
    (tmp_path / "none").mkdir()
    assert "no photos in" in run("index", str(tmp_path / "none"), expect=1).stderr


def test_another_folder_says_how_to_serve_it(run, tmp_path):
    colour_photos(tmp_path / "other")
    assert f"IMAGE_DIR={tmp_path / 'other'}" in run("index", str(tmp_path / "other")).stderr


def test_an_index_of_another_model_is_left_alone_unless_it_is_to_be_replaced(run, tmp_path):
    run("index")
    other = str(make_clip_folder(tmp_path / "other-clip", seed=5))
    said = run("index", expect=1, IMAGE_MODEL=other).stderr
    assert "'conse'" in said
    assert "'other-clip'" in said
    assert "6 unchanged" in run("index").stdout
    assert "6 encoded" in run("index", "--delete-existing", IMAGE_MODEL=other).stdout


def test_other_weights_of_the_same_name_are_refused(run, tmp_path, photos, tiny_clip):
    run("index", IMAGE_MODEL=tiny_clip)
    twin = str(make_clip_folder(tmp_path / "elsewhere" / "tiny-clip", seed=7))
    save(photos / "new.png", colour="white")
    assert "another 'tiny-clip'" in run("index", expect=1, IMAGE_MODEL=twin).stderr
    assert "another 'tiny-clip'" in run("search", "red", expect=1, IMAGE_MODEL=twin).stderr


def test_a_text_model_of_another_space_ends_a_search_by_text_and_no_other(run, tmp_path, photos, tiny_clip):
    models = {"IMAGE_MODEL": tiny_clip, "TEXT_MODEL": str(make_text_folder(tmp_path / "elsewhere" / "tiny-text"))}
    run("index", IMAGE_MODEL=tiny_clip)
    assert "trained for another" in run("search", "red", expect=1, **models).stderr
    by_image = run("search", "--image", str(photos / "warm" / "red.png"), "-k", "1", **models)
    assert "warm/red.png" in by_image.stdout


@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        (["search", "red"], {}, "There is no index"),
        (["status"], {"ES_HOST": "http://127.0.0.1:9"}, "Nothing answers at http://127.0.0.1:9"),
        (["index"], {"ES_VERIFY_CERTS": "ture"}, "ES_VERIFY_CERTS has value 'ture'"),
        (["index"], {"IMAGE_DIR": "/no/such/folder"}, "/no/such/folder"),
        (["index"], {"IMAGE_MODEL": "/no/such/model"}, "/no/such/model"),
        (["search", "--image", "/no/such.jpg"], {}, "/no/such.jpg cannot be opened"),
        (["search", " "], {}, "empty"),
        (["text-model", "install"], {"IMAGE_MODEL": "clip-ViT-B-32"}, "this Elasticsearch has no machine learning"),
        (["evaluate"], {}, "There is no index"),
        (["evaluate", "--captions", "/no/such.csv"], {}, "captions cannot be read"),
    ],
)
def test_an_error_is_one_line_with_a_remedy_and_exit_status_one(run, arguments, changes, said):
    done = run(*arguments, expect=1, **changes)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error: ") == 1


@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        (["search", "red"], {}, "There is no index"),
        (["index"], {"IMAGE_MODEL": "/no/such/model"}, "/no/such/model"),
        (["status"], {"ES_HOST": "http://127.0.0.1:9"}, "Nothing answers at http://127.0.0.1:9"),
    ],
)
def test_an_error_of_a_process_is_the_only_line_on_standard_error(start, arguments, changes, said):
    done = start(*arguments, expect=1, **changes)
    assert said in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error: ") == 1


def test_evaluate_measures_captions_and_agreement_with_exact_search(run, photos, tmp_path):
    run("index")
    captions = tmp_path / "captions.csv"
    captions.write_text("image_id,language,caption\nwarm/red.png,en,red\ngone.png,en,gone\n", encoding="utf-8")
    answer = json.loads(run("evaluate", "--captions", str(captions), "--json").stdout)
    assert answer["ann_recall"] == {"queries": 6, "k": 10, "recall": 1.0}
    assert [(recall["language"], recall["captions"]) for recall in answer["text_recall"]] == [("en", 1)]
    assert answer["text_recall"][0]["recall_at"]["10"] == 1.0


def test_captions_without_their_columns_are_refused_with_the_line(run, tmp_path):
    run("index")
    captions = tmp_path / "captions.csv"
    captions.write_text("image_id,caption\na.png,red\n", encoding="utf-8")
    assert "line 2" in run("evaluate", "--captions", str(captions), expect=1).stderr


def test_a_run_that_only_renamed_photos_is_a_success_though_a_file_was_skipped(run, photos):
    run("index")
    for photo in list(photos.rglob("*.png")):
        photo.rename(photo.with_name(f"new-{photo.name}"))
    (photos / "bad.jpg").write_bytes(b"damaged")
    report = json.loads(run("index", "--prune", "--json").stdout)
    assert (report["reused"], report["encoded"], len(report["skipped"])) == (6, 0, 1)
    assert (report["deleted"], report["moved"]) == (6, 6)


def test_renamed_photos_are_not_counted_as_removed(run, photos):
    run("index")
    (photos / "warm" / "red.png").rename(photos / "rot.png")
    assert "1 renamed or copied, 5 unchanged, 0 removed" in run("index").stdout


# Encodes ten photos, and the others only when a file is gone: a run that lasts until the test ends it.
HELD = """\
import os, time
from image_embeddings import cli, encoders
encode, calls = encoders.ConseEncoder.encode_preprocessed, []
def held(*arguments, **options):
    calls.append(1)
    while len(calls) > 10 and os.path.exists(os.environ["HELD"]):
        time.sleep(0.01)
    return encode(*arguments, **options)
encoders.ConseEncoder.encode_preprocessed = held
cli.main()
"""


def test_a_run_that_is_ended_says_how_to_go_on_and_keeps_what_it_wrote(run, environ, photos, tmp_path):
    for number in range(60):
        save(photos / "more" / f"{number}.png", colour="white")
    held = tmp_path / "held"
    held.touch()
    command = [sys.executable, "-c", HELD, "index", "--chunk-size", "1", "--batch-size", "1"]
    settings = {**os.environ, **environ, "HELD": str(held)}
    with subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True) as begun:
        wait_for(lambda: status(environ).get("photos", 0) >= 3)
        begun.terminate()
        while "Stopping" not in (line := begun.stderr.readline()):
            assert line, "the run has ended"
        held.unlink()
        said = begun.communicate(timeout=LONG)[1]
    left = re.search(r"Stopped with (\d+) photos left.* goes on from there", said)[1]
    assert begun.returncode == 1
    said = rf"\d+ of \d+ photos, stopped \d+ s ago\. To go on with it: index {re.escape(environ['IMAGE_DIR'])}\."
    assert re.fullmatch(said, status(environ)["indexing"])
    report = json.loads(run("index", "--json").stdout)
    assert report["encoded"] + report["reused"] == int(left)
    assert 0 < int(left) < 66


LIBRARY = """\
import os, signal, sys
from image_embeddings import cli, encoders
def load(*arguments, **options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        raise ValueError("a library that takes Ctrl-C for a fault of its own")
encoders.ConseEncoder.encode_preprocessed = load
cli.main()
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index"], "Error: Stopped. What was indexed stays; the same command goes on from there."),
        (["index", "--delete-existing"], "the same command without --delete-existing goes on from there."),
        (["search", "--image", "app/static/images/dogs/husky.jpg"], "Error: Stopped."),
    ],
)
def test_an_interrupt_ends_a_command_at_once_even_while_a_library_loads_a_model(run, environ, photos, arguments, said):
    run("index")
    save(photos / "new.png", colour="white")
    done = run_process(environ, *arguments, command=("-c", LIBRARY))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"{said}\n")
    assert len(done.stderr.splitlines()) == 1


def status(environ):
    """Return the output of `status`; empty in the moment in which Elasticsearch learns of the index."""
    done = run_here(environ, "status", "--json")
    return json.loads(done.stdout) if done.exit_code == 0 else {}


def test_a_server_that_is_not_elasticsearch_is_reported(run, photos):
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ) as server:
        port = re.search(r"port (\d+)", server.stdout.readline())[1]
        said = run("index", expect=1, ES_HOST=f"http://127.0.0.1:{port}").stderr
        server.terminate()
    assert said == f"Error: What answers at http://127.0.0.1:{port} is not Elasticsearch. Look at ES_HOST.\n"


def test_two_runs_into_one_index_exclude_each_other(run, start, environ):
    from filelock import FileLock

    run("index")
    lock = next(Path(environ["DATA_DIR"]).glob("index-*.lock"))
    with FileLock(lock):
        assert "Another run is indexing" in start("index", expect=1).stderr
    run("index")


def test_the_familiar_script_accepts_its_flags(run, start, elasticsearch_url):
    flags = ["--es_host", elasticsearch_url, "--thread_count", "2", "--chunk_size", "3", "--timeout", "60"]
    flags += ["--no-verify_certs", "--no-delete_existing", "--no-extract_GPS_location"]
    assert "6 encoded" in start(*flags, command=SCRIPT, ES_HOST="http://127.0.0.1:9").stdout
    assert "6 unchanged" in run(command=create_image_embeddings).stdout
    assert "6 encoded" in run("--delete_existing", command=create_image_embeddings).stdout


def test_the_embedded_node_is_started_when_needed_and_stopped_by_hand(run, start, environ, data_dir, node_jars):
    own = {"ES_HOST": "", "ES_HEAP": "256m"}
    (data_dir / "elasticsearch").mkdir()
    (data_dir / "elasticsearch" / f"jars-{VERSION}").symlink_to(node_jars)
    assert "not running" in run("node", "status", expect=1, **own).stdout
    try:
        assert "6 encoded" in start("index", **own).stdout  # the node outlives the process
        said = run("node", "status", **own).stdout
        assert "runs at http://127.0.0.1:" in said
        command = ["sh", "-c", said.partition("To ask it: ")[2]]
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
        assert environ["INDEX_NAME"] in asked.stdout
        assert json.loads(run("status", "--json", **own).stdout)["embedded_node"] is True
        assert "has stopped" in run("node", "stop", **own).stdout
        assert "6 unchanged" in run("index", **own).stdout  # the node is started again, with its data
    finally:
        run("node", "stop", **own)
    assert json.loads(run("node", "status", "--json", expect=1, **own).stdout) == {"running": False}
