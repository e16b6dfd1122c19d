"""The launch file is one that Ray's own launcher accepts, and opens a cluster to holders of the token alone."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).resolve().parents[2] / "cluster"


@pytest.fixture
def launch_file() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "ray-cluster.yaml").read_text(encoding="utf-8"))


def start_commands(launch_file: dict[str, Any]) -> list[str]:
    commands = launch_file["head_start_ray_commands"] + launch_file["worker_start_ray_commands"]
    return [command for command in commands if "ray start" in command]


def test_the_launcher_accepts_it(launch_file: dict[str, Any]) -> None:
    prepared = prepare_config(launch_file)
    validate_config(prepared)
    assert prepared["max_workers"] == len(launch_file["provider"]["worker_ips"])


def test_the_launcher_would_refuse_a_misspelt_key(launch_file: dict[str, Any]) -> None:
    prepared = prepare_config(launch_file | {"setup_comands": []})
    with pytest.raises(ValidationError, match="setup_comands"):
        validate_config(prepared)


def test_every_node_starts_in_token_mode_and_without_a_dashboard(launch_file: dict[str, Any]) -> None:
    head, worker = start_commands(launch_file)
    assert head.startswith("RAY_AUTH_MODE=token ") and worker.startswith("RAY_AUTH_MODE=token ")
    assert "--include-dashboard=false" in head
    assert "~/.ray/auth_token" in launch_file["file_mounts"]
    assert "\n" not in head + worker


def test_every_placeholder_is_explained() -> None:
    launch_file = re.sub(r"(?m)^ *#.*$", "", (CLUSTER / "ray-cluster.yaml").read_text(encoding="utf-8"))
    placeholders = set(re.findall(r"(?<![$\w])[A-Z][A-Z_]+[A-Z0-9]\b", launch_file)) - {"RAY_AUTH_MODE", "PATH"}
    assert len(placeholders) == 5
    readme = (CLUSTER / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(placeholders) if f"`{name}`" not in readme] == []
