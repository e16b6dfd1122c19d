"""The manifests are valid for Kubernetes and KubeRay, run nothing as root, and say what our own parsers take."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import mlflow.cli
import pytest
import ray.scripts.scripts
import yaml
from click.testing import CliRunner

from nas.driver.command_line import read_command

DIRECTORY = Path(__file__).resolve().parents[2] / "cluster" / "kubernetes"
KUBERNETES = "1.32"
# The fields of KubeRay's ray.io/v1 (RayClusterSpec, RayJobSpec and what lies in them), of those that are used here.
KUBERAY: dict[str, dict[str, type]] = {
    "RayCluster": {
        "rayVersion": str,
        "authOptions": dict,
        "headGroupSpec": dict,
        "workerGroupSpecs": list,
    },
    "RayJob": {
        "entrypoint": str,
        "backoffLimit": int,
        "submissionMode": str,
        "submitterPodTemplate": dict,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": dict,
    },
    "head": {"rayStartParams": dict, "template": dict},
    "worker": {
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "rayStartParams": dict,
        "template": dict,
    },
}
SECRETS = {"postgresql-password", "mlflow-password", "mlflow-secret-key"}

Manifest = dict[str, Any]


def manifests(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((DIRECTORY / name).read_text(encoding="utf-8")))


def ray_clusters() -> Iterator[Manifest]:
    """The cluster of each file that has one."""
    yield manifests("ray-cluster.yaml")[0]["spec"]
    yield manifests("ray-job.yaml")[0]["spec"]["rayClusterSpec"]


def ray_pods() -> list[Manifest]:
    groups = [[cluster["headGroupSpec"], *cluster["workerGroupSpecs"]] for cluster in ray_clusters()]
    return [group["template"] for found in groups for group in found]


def all_pods() -> list[Manifest]:
    pods = [*ray_pods(), manifests("ray-job.yaml")[0]["spec"]["submitterPodTemplate"]]
    return pods + [one["spec"]["template"] for one in manifests("services.yaml") if "template" in one.get("spec", {})]


def as_pod(template: Manifest) -> Manifest:
    metadata = {"name": "pod", **template.get("metadata", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def check(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def check_fields(spec: Manifest, kind: str) -> None:
    known = KUBERAY[kind]
    assert {name: type(value) for name, value in spec.items() if known.get(name) is not type(value)} == {}


def test_kubernetes_takes_what_is_its_own() -> None:
    found = [one for name in ("storage.yaml", "services.yaml") for one in manifests(name)]
    assert len(found) == 8
    for one in found:
        check(one)
    for pod in all_pods():
        check(as_pod(pod))


def test_a_field_that_does_not_exist_would_be_refused() -> None:
    pod = as_pod(ray_pods()[0])
    pod["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinessProb"):
        check(pod)


def test_kuberay_knows_each_field() -> None:
    (cluster,), (job,) = manifests("ray-cluster.yaml"), manifests("ray-job.yaml")
    assert (cluster["apiVersion"], cluster["kind"], job["kind"]) == ("ray.io/v1", "RayCluster", "RayJob")
    assert job["apiVersion"] == cluster["apiVersion"]
    check_fields(job["spec"], "RayJob")
    for spec in ray_clusters():
        check_fields(spec, "RayCluster")
        assert spec["authOptions"] == {"mode": "token"}
        check_fields(spec["headGroupSpec"], "head")
        for group in spec["workerGroupSpecs"]:
            check_fields(group, "worker")
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_both_files_start_the_same_cluster_but_for_the_dashboard_that_jobs_need() -> None:
    one, other = ray_clusters()
    assert one["headGroupSpec"]["rayStartParams"].pop("include-dashboard") == "false"
    assert other["headGroupSpec"]["rayStartParams"].pop("include-dashboard") == "true"
    ports = other["headGroupSpec"]["template"]["spec"]["containers"][0]["ports"]
    ports.remove({"containerPort": 8265, "name": "dashboard"})
    assert one == other


def test_ray_takes_how_its_nodes_are_started() -> None:
    known = {option for parameter in ray.scripts.scripts.start.params for option in parameter.opts}
    for cluster in ray_clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            parameters = group["rayStartParams"]
            assert {f"--{name}" for name in parameters} <= known
            assert all(isinstance(value, str) for value in parameters.values())
            (container,) = group["template"]["spec"]["containers"]
            port = parameters.get("node-manager-port", "6379")
            for probe in ("readinessProbe", "livenessProbe"):
                assert container[probe]["tcpSocket"]["port"] == int(port)


def test_nothing_runs_as_root_or_without_limits() -> None:
    for pod in all_pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_volumes_and_services_are_there() -> None:
    claims = {one["metadata"]["name"] for one in manifests("storage.yaml") if one["kind"] == "PersistentVolumeClaim"}
    services = {one["metadata"]["name"] for one in manifests("services.yaml") if one["kind"] == "Service"}
    assert services == {"postgresql", "mlflow"}
    for pod in all_pods():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for container in pod["spec"]["containers"]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])} - {"data"}
            assert mounted <= volumes.keys()
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in all_pods()
        for volume in pod["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert used == claims


def test_secrets_are_given_by_reference_and_each_is_explained() -> None:
    readme = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    referred = set()
    for pod in all_pods():
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", []):
                if re.search("PASSWORD|SECRET|TOKEN|KEY", variable["name"]):
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert reference["name"] == "search-secrets" and "value" not in variable
                    referred.add(reference["key"])
    assert referred == SECRETS
    assert all(f"--from-literal={name}=" in readme for name in SECRETS)
    assert re.findall(r"://[^\s/@]+:[^\s/@]+@", "".join(path.read_text() for path in DIRECTORY.iterdir())) == []


def test_the_search_of_the_job_is_one() -> None:
    entrypoint = shlex.split(manifests("ray-job.yaml")[0]["spec"]["entrypoint"])
    script, name, runs, *flags = entrypoint
    assert (DIRECTORY.parents[1] / Path(script).relative_to("/opt/search")).exists()
    command = read_command(["--name", name, *flags, "--runs-dir", runs])
    assert command.cluster.address == "auto" and command.tracking.uri == "http://mlflow:5000"
    assert command.runs_dir.startswith("/shared/")


def test_the_search_that_the_page_starts_is_one() -> None:
    readme = (DIRECTORY / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"begin_or_resume\.sh (.+)", readme)
    name, runs, *flags = shlex.split(line)
    command = read_command(["--name", name, *flags, "--runs-dir", runs])
    assert command.cluster.address == "auto" and command.tracking.uri == "http://mlflow:5000"


def test_mlflow_takes_how_its_server_is_started() -> None:
    (deployment,) = [one for one in manifests("services.yaml") if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    known = {option for parameter in mlflow.cli.server.params for option in parameter.opts}
    assert container["command"] == ["mlflow", "server"]
    assert {argument.partition("=")[0] for argument in container["args"]} <= known
    asked = CliRunner().invoke(mlflow.cli.server, [*container["args"], "--help"])
    assert asked.exit_code == 0


def test_every_placeholder_is_explained() -> None:
    readme = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(DIRECTORY.glob("*.yaml")))
    bare = re.sub(r"(?m)#.*$|[-{] ?name: [A-Z_]+|CREATE DATABASE|\[ALL\]|= READ", "", text)
    placeholders = set(re.findall(r"(?<![$\w])[A-Z][A-Z_]+\b", bare))
    assert placeholders == {"IMAGE", "STORAGE_CLASS", "KUBERAY_NAMESPACE", "RAY_VERSION", "NAME"}
    assert [name for name in sorted(placeholders) if f"`{name}`" not in readme] == []
