"""What is wrong with a node, from what was found on it, and what follows for a search."""

import dataclasses

import pytest

from cluster.gpu_memory import GpuMemory
from cluster.node_findings import NodeFindings, judged, usable
from search_spaces.errors import UserError

HERE = {"torch": "2.13.0+cpu", "numpy": "2.3.1", "ray": "2.60.0"}
SOUND = NodeFindings(
    python="3.11.9",
    packages=HERE,
    code=None,
    data=None,
    storage=None,
    disk_bytes=10**11,
    memory_bytes=10**10,
    shared_memory_bytes=10**9,
    clock_seconds=0.2,
    gpus=(),
    gpus_trouble=None,
)


@pytest.mark.parametrize(
    ("changes", "problems", "warnings"),
    [
        ({}, [], []),
        ({"storage": "it does not see it"}, ["it does not see it"], []),
        ({"data": "there is no directory"}, ["there is no directory"], []),
        ({"code": "ModuleNotFoundError: x"}, ["the code cannot be loaded there: ModuleNotFoundError: x"], []),
        ({"gpus_trouble": "GPU 1 does not work"}, ["GPU 1 does not work"], []),
        ({"python": "3.11.2"}, [], []),
        ({"python": "3.12.9"}, ["Python is 3.12.9 there, and 3.11.9 here"], []),
        (
            {"packages": HERE | {"torch": "2.12.1+cpu"}},
            ["torch is 2.12.1+cpu there, and 2.13.0+cpu here"],
            [],
        ),
        ({"packages": HERE | {"torch": "2.13.0+cu130"}}, [], ["torch is 2.13.0+cu130 there, and 2.13.0+cpu here"]),
        ({"packages": HERE | {"numpy": "2.3.2"}}, [], ["numpy is 2.3.2 there, and 2.3.1 here"]),
        ({"packages": {"numpy": "2.3.1", "ray": "2.60.0"}}, ["torch is missing there, and 2.13.0+cpu here"], []),
        ({"disk_bytes": 10**8}, [], ["disk for temporary files is short: 0.10 GB are free"]),
        ({"memory_bytes": 5 * 10**8}, [], ["memory is short: 0.50 GB are free"]),
        ({"shared_memory_bytes": 0}, [], ["shared memory is short: 0.00 GB are free"]),
        ({"gpus": (("A100", GpuMemory(80 * 10**9, 79 * 10**9)),)}, [], []),
        (
            {"gpus": (("A100", GpuMemory(80 * 10**9, 79 * 10**9)), ("A100", GpuMemory(80 * 10**9, 9 * 10**9)))},
            [],
            ["other programs hold 71.0 of 80.0 GB of the memory of GPU 1 (A100)"],
        ),
        ({"clock_seconds": -61.0}, [], ["its clock is 61 s behind the one here"]),
        ({"clock_seconds": 7.4}, [], ["its clock is 7 s ahead of the one here"]),
    ],
)
def test_what_keeps_a_node_from_training_and_what_is_merely_said(
    changes: dict[str, object], problems: list[str], warnings: list[str]
) -> None:
    verdict = judged(dataclasses.replace(SOUND, **changes), "3.11.9", HERE)  # type: ignore[arg-type]
    assert (list(verdict.problems), list(verdict.warnings)) == (problems, warnings)


def test_bad_nodes_are_refused_left_out_or_used() -> None:
    found: dict[str, tuple[str, ...]] = {"a": (), "b": ("no data", "no storage")}
    with pytest.raises(UserError, match=r"^node b cannot run trials: no data, no storage\..*--bad-nodes leave-out"):
        usable(found, "refuse")
    assert usable(found, "leave-out") == {"a"}
    assert usable(found, "warn") == {"a", "b"}
    assert usable({"a": ()}, "refuse") == {"a"}
    with pytest.raises(UserError, match="no node is left: node b"):
        usable({"b": ("no data",)}, "leave-out")
