"""The compose file of the cluster, as far as it can be tested without a Docker engine."""

import ipaddress
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from cryptography import x509

from tests.dockerfiles import ROOT, VARIABLE, env_file, interpolate

FOLDER = ROOT / "es-docker"
TEXT = (FOLDER / "docker-compose.yml").read_text()
EXAMPLE = env_file(FOLDER / ".env.example")
ENVIRON = {**EXAMPLE, "ELASTIC_PASSWORD": "secret1", "KIBANA_PASSWORD": "secret2"}
VARIABLES = [match for match in VARIABLE.finditer(TEXT) if match["name"] and match["name"] != "VARIABLE"]
SERVICES: dict[str, Any] = yaml.safe_load(interpolate(TEXT, ENVIRON))["services"]


def compose(text: str = TEXT) -> PyCompose:
    parsed = PyCompose.from_yaml(interpolate(text, ENVIRON))
    parsed.validate()
    return parsed


def test_compose_file_follows_the_compose_specification() -> None:
    assert compose().service_names() == ["certificates", "elasticsearch", "kibana-password", "kibana"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("mem_limit:", "memory_limit:"),
        ("service_healthy", "service_well"),
        ("restart: unless-stopped", "restart: mostly"),
        ("start_period: 2m", "start_period: soon"),
        ("-9200}:9200", "-9200}:http"),
        ("soft: -1", "soft: none"),
        ("  data:\n", "  data: here\n"),
    ],
)
def test_the_validator_notices_a_mistake(right: str, wrong: str) -> None:
    assert right in TEXT
    with pytest.raises(ValueError):
        compose(TEXT.replace(right, wrong))


def test_services_depend_on_services_that_exist() -> None:
    needed = {name for service in SERVICES.values() for name in service.get("depends_on", {})}
    assert needed == {"certificates", "elasticsearch", "kibana-password"}
    assert needed <= SERVICES.keys()


def test_named_volumes_are_declared_and_used() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert {name for name in mounted if not name.startswith(".")} == compose().volumes.keys()


def test_the_variables_are_those_of_the_example() -> None:
    assert {match["name"] for match in VARIABLES} == EXAMPLE.keys()


def test_defaults_equal_those_of_the_example() -> None:
    defaults = {match["name"]: match["rest"] for match in VARIABLES if match["operator"] == "-"}
    assert {**defaults, "ELASTIC_PASSWORD": ""} == EXAMPLE


def test_a_missing_password_is_named() -> None:
    with pytest.raises(LookupError, match=r"ELASTIC_PASSWORD: choose one in es-docker/\.env"):
        interpolate(TEXT, EXAMPLE)


def test_every_variable_is_explained() -> None:
    lines = (FOLDER / ".env.example").read_text().splitlines()
    blocks = "\n".join(lines).split("\n\n")[1:]
    assert all(block.startswith("#") for block in blocks)


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:9200:9200", "127.0.0.1:5601:5601"]


def test_kibana_starts_only_with_its_profile() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == [
        "certificates",
        "elasticsearch",
    ]


def test_mounted_files_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service["volumes"] if volume.startswith("./")]
    assert mounts == ["./make-certificates.sh:/make-certificates.sh:ro"]
    assert (FOLDER / "make-certificates.sh").is_file()


def test_shell_lines_are_valid_shell() -> None:
    lines = [SERVICES["elasticsearch"]["healthcheck"]["test"][1], SERVICES["kibana"]["healthcheck"]["test"][1]]
    for line in [*lines, SERVICES["kibana-password"]["command"][2]]:
        subprocess.run(["sh", "-nc", line], check=True)


@pytest.mark.parametrize("script", ["tools/serve.sh", "es-docker/make-certificates.sh", "tools/install.sh"])
def test_scripts_are_valid_shell(script: str) -> None:
    subprocess.run(["sh", "-n", ROOT / script], check=True)


@pytest.mark.parametrize(
    ("status", "well"), [("200", True), ("403", True), ("401", False), ("408", False), ("", False)]
)
def test_the_node_is_healthy_if_it_answers_even_after_a_trial(tmp_path: Path, status: str, well: bool) -> None:
    (tmp_path / "curl").write_text(f"#!/bin/sh\nprintf %s '{status}'\n")
    (tmp_path / "curl").chmod(0o755)
    line = SERVICES["elasticsearch"]["healthcheck"]["test"][1].replace("$$", "$")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ELASTIC_PASSWORD": "a"}
    assert (subprocess.run(["sh", "-c", line], env=environ).returncode == 0) is well


def test_kibana_password_is_sent_as_json(tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "curl").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ELASTIC_PASSWORD": "a", "KIBANA_PASSWORD": "secret2"}
    command = SERVICES["kibana-password"]["command"]
    assert subprocess.check_output(command, env=environ, text=True) == '{"password": "secret2"}'
    assert subprocess.run(command, env={**environ, "KIBANA_PASSWORD": ""}, capture_output=True).returncode != 0


def test_readme_pins_no_version_of_its_own() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"\b9\.\d+\.\d+\b", readme)) <= {EXAMPLE["STACK_VERSION"]}


def test_readme_copies_the_authority_from_its_mount_to_the_path_that_the_app_reads() -> None:
    (command,) = re.findall(r"^docker compose cp elasticsearch:(\S+) (\S+)$", (FOLDER / "README.md").read_text(), re.M)
    mounts = [volume.split(":")[1] for volume in SERVICES["elasticsearch"]["volumes"]]
    assert command == (f"{mounts[0]}/ca/ca.crt", "../app/conf/ca.crt")
    assert (ROOT / "app" / "conf").is_dir()


# Memory for the text model in ML. The rules are those of Elasticsearch's NativeMemoryCalculator (automatic), of
# MachineDependentHeap (a node with data: half), and of its sum for a PyTorch model.

MIB = 2**20
MODEL_BYTES = 540_305_732  # the traced clip-ViT-B-32-multilingual-v1
NATIVE_CODE = 30 * MIB  # counted once for a node that runs any model


def memory_for_ml(memory: int) -> int:
    return min(memory - memory // 2 - 200 * MIB, memory * 9 // 10)


def memory_for_model(size: int) -> int:
    return 240 * MIB + 2 * size + NATIVE_CODE


def gigabytes(limit: str) -> int:
    return int(limit.removesuffix("g")) * 2**30


def test_the_memory_advised_for_ml_holds_the_text_model_and_the_default_does_not() -> None:
    (advised,) = re.findall(r"text model in ML \(LICENSE=trial\) needs (\d+g)", (FOLDER / ".env.example").read_text())
    assert memory_for_ml(gigabytes(advised)) > 1.5 * memory_for_model(MODEL_BYTES)
    assert memory_for_ml(gigabytes(EXAMPLE["MEM_LIMIT"])) < memory_for_model(MODEL_BYTES)


def test_nothing_in_the_compose_file_changes_how_memory_is_shared() -> None:
    environment = SERVICES["elasticsearch"]["environment"]
    assert environment["xpack.ml.use_auto_machine_memory_percent"] == "true"
    assert not {"node.roles", "ES_JAVA_OPTS", "xpack.ml.enabled"} & environment.keys()


def test_the_page_on_elasticsearch_has_these_numbers() -> None:
    page = (ROOT / "docs" / "elasticsearch.md").read_text()
    rows = re.findall(r"^\| (\d+g) \| ([\d,]+) MiB \| (\w+) \|", page, re.M)
    assert [row[0] for row in rows] == ["2g", "3g", "4g", "6g"]
    for limit, mebibytes, fits in rows:
        assert mebibytes == f"{memory_for_ml(gigabytes(limit)) // MIB:,}"
        assert (fits != "no") == (memory_for_ml(gigabytes(limit)) >= memory_for_model(MODEL_BYTES))
    assert f"{round((memory_for_model(MODEL_BYTES) - NATIVE_CODE) / MIB):,} MiB for the full one" in page


@pytest.mark.parametrize("licence", ["trial", "basic"])
def test_the_readme_has_the_request_that_changes_the_licence_of_a_running_cluster(licence: str) -> None:
    assert (
        f"-X POST 'https://localhost:9200/_license/start_{licence}?acknowledge=true'"
        in (FOLDER / "README.md").read_text()
    )


# The certificates: make-certificates.sh with a stand-in for elasticsearch-certutil that has its flags and its zip files


@pytest.fixture
def certutil(tmp_path: Path) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in [("elasticsearch-certutil", "tests.certutil"), ("unzip", "tests.certutil unzip")]:
        (programs / name).write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path


def make_certificates(certutil: Path, **environ: str) -> Path:
    folder = certutil / "certificates"
    folder.mkdir(exist_ok=True)
    paths = {"PATH": f"{certutil / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["sh", FOLDER / "make-certificates.sh", folder], check=True, env={**paths, **environ})
    return folder


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "elasticsearch" / "elasticsearch.crt").read_bytes())


def names(folder: Path) -> x509.SubjectAlternativeName:
    return certificate(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_certificate_is_signed_by_the_authority_for_every_name(certutil: Path) -> None:
    folder = make_certificates(certutil, CERT_NAMES="photos.lan,nas", CERT_IPS="192.168.1.5")
    authority = x509.load_pem_x509_certificate((folder / "ca" / "ca.crt").read_bytes())
    certificate(folder).verify_directly_issued_by(authority)
    dns = ["elasticsearch", "localhost", "host.docker.internal", "photos.lan", "nas"]
    assert names(folder).get_values_for_type(x509.DNSName) == dns
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("192.168.1.5")]
    assert names(folder).get_values_for_type(x509.IPAddress) == addresses


def test_compose_file_names_the_files_that_are_made(certutil: Path) -> None:
    folder = make_certificates(certutil)
    settings = SERVICES["elasticsearch"]["environment"].values()
    assert {value for value in settings if str(value).startswith("certs/")} == {
        f"certs/{path.relative_to(folder)}" for path in folder.rglob("*.*") if path.name != "ca.key"
    }


def test_authority_can_be_copied_and_the_keys_cannot_be_read_by_all(certutil: Path) -> None:
    folder = make_certificates(certutil)
    modes = {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*.*")}
    assert modes == {
        "ca/ca.crt": 0o644,
        "ca/ca.key": 0o600,
        "elasticsearch/elasticsearch.crt": 0o644,
        "elasticsearch/elasticsearch.key": 0o640,
    }


def test_a_second_start_changes_nothing(certutil: Path) -> None:
    first = certificate(make_certificates(certutil))
    assert certificate(make_certificates(certutil)) == first


def test_a_new_name_makes_a_new_certificate_of_the_same_authority(certutil: Path) -> None:
    authority = (make_certificates(certutil) / "ca" / "ca.crt").read_bytes()
    folder = make_certificates(certutil, CERT_NAMES="photos.lan")
    assert "photos.lan" in names(folder).get_values_for_type(x509.DNSName)
    assert (folder / "ca" / "ca.crt").read_bytes() == authority
