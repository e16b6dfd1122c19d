"""What is asked for beside a full training, once that has ended: ONNX, an exported program, robustness.

OUT/bundle/model.onnx  the network for other runtimes
OUT/model.pt2          the network as torch's exported program: beside the bundle, as reading it can execute code
OUT/corruptions.csv    accuracy under each corruption at each severity
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search_spaces.paths import check_can_be_directory
from trainers.bundle.document import ONNX, read_bundle, read_document
from trainers.bundle.onnx_export import check_onnx
from trainers.files import csv_bytes, write_atomically, write_json_atomically
from trainers.full.measured_split import measured_split
from trainers.full.outcome_files import CORRUPTIONS_FILE, PROGRAM
from trainers.full.plan import Plan
from trainers.stopping import Stopped

# The key of a result that says how robust its network is.
ROBUSTNESS = "robustness"


@dataclass(frozen=True, slots=True)
class Extras:
    """What is asked for, each or not."""

    onnx: bool = False
    program: bool = False
    corruptions: bool = False

    def check(self) -> None:
        """Raises UserError where a package is missing: before a training of days, not after it."""
        if self.onnx:
            check_onnx()


def add_extras(plan: Plan, result: dict[str, Any], extras: Extras, end_requested: Callable[[], bool]) -> dict[str, Any]:
    """Adds to an ended training what is asked for and not there yet. All processes call it. The result as it is then.

    Raises Stopped where the end is requested, UserError where the output directory cannot be written, and OSError where
    nothing can any more.
    """
    lacking = plan.processes.from_first(lambda: _lacking(plan, result, extras))
    if lacking.corruptions:
        result = _with_robustness(plan, result, end_requested)
    if lacking.onnx or lacking.program:
        plan.processes.from_first(lambda: _export(plan, lacking))
    return result


def _lacking(plan: Plan, result: dict[str, Any], extras: Extras) -> Extras:
    """What of it is not there yet, and can be written."""
    lacking = Extras(
        onnx=extras.onnx and ONNX not in read_document(plan.out / "bundle")["files"],
        program=extras.program and not (plan.out / PROGRAM).exists(),
        corruptions=extras.corruptions and ROBUSTNESS not in result,
    )
    if lacking != Extras():
        check_can_be_directory(plan.out, f"--out {str(plan.out)!r}")
    return lacking


def _export(plan: Plan, lacking: Extras) -> None:
    directory = plan.out / "bundle"
    from trainers.bundle.files import read_model, rewrite_bundle

    bundle, model = read_bundle(directory), read_model(directory)
    if lacking.onnx:
        from trainers.bundle.onnx_export import onnx_model

        rewrite_bundle(directory, bundle, onnx_model(model, bundle))
    if lacking.program:
        from trainers.bundle.torch_export import exported_program

        write_atomically(plan.out / PROGRAM, exported_program(model, bundle))


def _with_robustness(plan: Plan, result: dict[str, Any], end_requested: Callable[[], bool]) -> dict[str, Any]:
    from trainers.bundle.files import read_model, rewrite_bundle
    from trainers.data.corruptions import CORRUPTIONS, SEVERITIES, CorruptedImages
    from trainers.evaluation import evaluate

    directory, processes = plan.out / "bundle", plan.processes
    # Each process reads it from the same directory as the first has written.
    bundle = processes.in_all(lambda: read_bundle(directory))
    model = processes.in_all(lambda: read_model(directory)).to(processes.device)
    _, images = measured_split(plan)
    rule, recipe = bundle.input_rule, plan.settings.recipe

    def between_batches() -> None:
        if processes.largest(end_requested()):
            raise Stopped(recipe.epochs, 0)

    accuracies: dict[str, list[float]] = {}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            corrupted = CorruptedImages(images, name, severity, mean=rule.mean, std=rule.std)
            _, accuracy = evaluate(
                model, corrupted, processes.device, plan.layout.micro_batch,
                precision=recipe.precision, rank=processes.rank, world_size=processes.world_size,
                between_batches=between_batches,
            )  # fmt: skip
            accuracies.setdefault(name, []).append(accuracy)
    values = [accuracy for row in accuracies.values() for accuracy in row]
    found = result | {ROBUSTNESS: {"accuracy": sum(values) / len(values), "corruptions": accuracies}}
    rows = [(name, *row) for name, row in accuracies.items()]
    header = ("corruption", *(f"severity_{severity}" for severity in SEVERITIES))

    def write() -> None:
        write_atomically(plan.out / CORRUPTIONS_FILE, csv_bytes(header, rows))
        provenance = dataclasses.replace(bundle.provenance, full_training=found)
        rewrite_bundle(directory, dataclasses.replace(bundle, provenance=provenance))
        write_json_atomically(plan.result_file, found)

    processes.from_first(write)
    return found
