"""The compose file of an MLflow server: what it runs is run here as plain processes, and a search logs in."""

import base64
import configparser
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.cli
import psutil
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient
from sqlalchemy import make_url

from tests.entries.test_search import PROJECT, SMALL, start
from tests.faults.searches import LIMIT_SECONDS, records
from tests.support.mlflow_server import end_server, free_port
from tests.support.postgresql_server import PASSWORD as DATABASE_PASSWORD
from tests.support.postgresql_server import postgresql_server
from tests.support.present import present

DIRECTORY = PROJECT / "cluster" / "mlflow"
VALUES = {
    "SEARCH_IMAGE": "search",
    "POSTGRESQL_PASSWORD": DATABASE_PASSWORD,
    "S3_ACCESS_KEY": "canary-access-5b1f",
    "S3_SECRET_KEY": "canary-secret-c07d",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "canary-flask-2e91",
    "MLFLOW_TRACKING_USERNAME": "searches",
    "MLFLOW_TRACKING_PASSWORD": "canary-login-94a3",
}


def services() -> dict[str, Any]:
    """What compose makes of the file."""
    text = (DIRECTORY / "compose.yaml").read_text(encoding="utf-8")
    filled = re.sub(r"\$\{(\w+):\?\}", lambda match: VALUES[match[1]], text)
    assert "$" not in filled
    return yaml.safe_load(filled)["services"]


def test_every_secret_is_one_of_the_example_and_git_leaves_them_alone() -> None:
    text = (DIRECTORY / "compose.yaml").read_text(encoding="utf-8")
    example = (DIRECTORY / "example.env").read_text(encoding="utf-8")
    given = dict(re.findall(r"(?m)^(\w+)=(.*)$", example))
    assert set(re.findall(r"\$\{(\w+):\?\}", text)) == given.keys() == VALUES.keys()
    assert {name for name, value in given.items() if value} == {"MLFLOW_TRACKING_USERNAME"}
    assert "/cluster/mlflow/.env\n" in (PROJECT / ".gitignore").read_text(encoding="utf-8")


def test_only_mlflow_can_be_reached_and_from_this_machine_alone() -> None:
    assert {name: service["ports"] for name, service in services().items() if "ports" in service} == {
        "mlflow": ["127.0.0.1:5000:5000"]
    }
    assert "network_mode" not in json.dumps(services())


def test_no_command_or_address_holds_a_secret() -> None:
    for service in services().values():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        addresses = [value for value in service.get("environment", {}).values() if "://" in value]
        assert [word for word in (*words, *addresses) for secret in VALUES.values() if secret.startswith("canary")
                and secret in word] == []  # fmt: skip


def test_mlflow_takes_how_it_is_started() -> None:
    program, command, *arguments = services()["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    known = {option for parameter in mlflow.cli.server.params for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments} <= known
    assert CliRunner().invoke(mlflow.cli.server, [*arguments, "--help"]).exit_code == 0


def test_the_bucket_that_is_made_is_the_one_that_artifacts_go_to() -> None:
    program, flag, code = services()["bucket"]["command"]
    assert (program, flag) == ("python", "-c")
    compile(code, "compose.yaml", "exec")
    (made,) = re.findall(r'create_bucket\(Bucket="(\w+)"\)', code)
    assert f"--artifacts-destination=s3://{made}" in services()["mlflow"]["command"]
    assert services()["mlflow"]["depends_on"]["bucket"] == {"condition": "service_completed_successfully"}


def test_the_authentication_is_in_the_database_of_the_store() -> None:
    settings = configparser.ConfigParser()
    settings.read(DIRECTORY / "basic_auth.ini")
    (store,) = [one for one in services()["mlflow"]["command"] if one.startswith("--backend-store-uri=")]
    assert settings["mlflow"]["database_uri"] == store.partition("=")[2]
    manifests = (PROJECT / "cluster" / "kubernetes" / "services.yaml").read_text(encoding="utf-8")
    in_kubernetes = next(one for one in yaml.safe_load_all(manifests) if "basic_auth.ini" in one.get("data", {}))
    other = configparser.ConfigParser()
    other.read_string(in_kubernetes["data"]["basic_auth.ini"])
    assert other["mlflow"].keys() == settings["mlflow"].keys()


@contextmanager
def composed_mlflow(directory: Path) -> Iterator[str]:
    """The address of the server of the compose file, as a process, with another database and place for artifacts."""
    service, port = services()["mlflow"], free_port()
    with postgresql_server(asks_for_password=True) as url:
        there = make_url(url)
        database = f"postgresql+psycopg://{there.username}@{there.host}:{there.port}/{there.database}"
        authentication = directory / "basic_auth.ini"
        text = (DIRECTORY / "basic_auth.ini").read_text(encoding="utf-8")
        authentication.write_text(re.sub(r"postgresql\+psycopg://\S+", database, text), encoding="utf-8")
        changes = {
            "--backend-store-uri": database,
            "--artifacts-destination": str(directory / "artifacts"),
            "--host": "127.0.0.1",
            "--port": str(port),
            "--workers": "1",
        }
        arguments = [argument.partition("=") for argument in service["command"][1:]]
        command = [sys.executable, "-m", "mlflow"]
        command += [f"{name}{equals}{changes.get(name, value)}" for name, equals, value in arguments]
        environment = {**os.environ, **service["environment"], "MLFLOW_AUTH_CONFIG_PATH": str(authentication)}
        with (directory / "server.log").open("wb") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 300
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    said = (directory / "server.log").read_text(encoding="utf-8")[-3000:]
                    assert server.poll() is None and time.monotonic() < deadline, said
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            end_server(server)


def answer(address: str, user: str | None, password: str = "") -> int:
    """The status that the server answers a request for experiments with."""
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/experiments/search?max_results=5")
    if user is not None:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_a_search_logs_in_and_its_password_is_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("no authentication in this MLflow: pip install -e '.[mlflow-server]'")
    user, password = VALUES["MLFLOW_TRACKING_USERNAME"], VALUES["MLFLOW_TRACKING_PASSWORD"]
    server = tmp_path / "server"
    server.mkdir()
    here = tmp_path / "here"
    here.mkdir()
    with composed_mlflow(server) as address:
        assert answer(address, None) == 401
        assert answer(address, user, "another") == 401
        assert answer(address, user, password) == 200
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        process = start(here, "nas/search.py", "--space", "resnet_stages", "--name", "one", "--trials", "2", *SMALL,
                        f"tracking.uri={address}")  # fmt: skip
        seen = set()
        deadline = time.monotonic() + 2 * LIMIT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            seen |= {" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])}
            time.sleep(2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        output, error = process.communicate()
        assert process.returncode == 0, error
        client = MlflowClient(address)
        experiment = present(client.get_experiment_by_name("architecture search"))
        assert experiment.artifact_location.startswith("mlflow-artifacts:/")
        runs = {
            run.data.tags.get("nas.trial"): run.info.run_id for run in client.search_runs([experiment.experiment_id])
        }
        for record in records(here, "one"):
            history = client.get_metric_history(runs[str(record.number)], "val_accuracy")
            assert [point.value for point in history] == [epoch.val_accuracy for epoch in record.epochs]
    secrets = [value for value in VALUES.values() if value.startswith("canary")]
    said = "\n".join((output, error, *seen, (server / "server.log").read_text(encoding="utf-8")))
    files = [path for place in (here, server / "artifacts") for path in place.rglob("*") if path.is_file()]
    assert any(path.name == "front.html" for path in files) and here / "runs" / "one" / "ledger.db" in files
    for secret in secrets:
        assert secret not in said
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
