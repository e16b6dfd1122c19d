"""The launch files are such as Ray's own launcher accepts, and open a cluster to holders of the token alone."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).resolve().parents[2] / "cluster"


SSH, AWS = "ray-cluster.yaml", "ray-cluster-aws.yaml"


@pytest.fixture(params=[SSH, AWS])
def launch_file(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))


def start_commands(launch_file: dict[str, Any]) -> list[str]:
    commands = launch_file["head_start_ray_commands"] + launch_file["worker_start_ray_commands"]
    return [command for command in commands if "ray start" in command]


def test_the_launcher_accepts_it(launch_file: dict[str, Any]) -> None:
    prepared = prepare_config(launch_file)
    validate_config(prepared)
    workers = launch_file["provider"].get("worker_ips") or range(launch_file["max_workers"])
    assert prepared["max_workers"] == len(workers)


def test_both_files_start_ray_in_the_same_way() -> None:
    one, other = read(SSH), read(AWS)
    for key in ("head_start_ray_commands", "worker_start_ray_commands", "setup_commands", "file_mounts"):
        assert one[key] == other[key]


def test_only_workers_are_machines_that_may_be_taken_back_and_they_are_replaced() -> None:
    types = read(AWS)["available_node_types"]
    spot = {name for name, kind in types.items() if "InstanceMarketOptions" in kind["node_config"]}
    assert spot == {"worker"} and types["worker"]["min_workers"] == types["worker"]["max_workers"]
    for kind in types.values():
        assert kind["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}
        assert all(device["Ebs"]["Encrypted"] for device in kind["node_config"]["BlockDeviceMappings"])


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


@pytest.mark.parametrize(("name", "count"), [(SSH, 5), (AWS, 6)])
def test_every_placeholder_is_explained(name: str, count: int) -> None:
    launch_file = re.sub(r"(?m)^ *#.*$", "", (CLUSTER / name).read_text(encoding="utf-8"))
    placeholders = set(re.findall(r"(?<![$\w])[A-Z][A-Z_]+[A-Z0-9]\b", launch_file))
    placeholders -= {"RAY_AUTH_MODE", "PATH", "CPU", "GPU"}
    assert len(placeholders) == count
    readme = (CLUSTER / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(placeholders) if f"`{name}`" not in readme] == []
