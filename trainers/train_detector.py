"""Trains a detector on a found network, or on one of the paper's, and evaluates it by COCO's rules.

python trainers/train_detector.py BUNDLE data.root=DIR [recipe.epochs=10] [--out DIR]
torchrun --nproc-per-node 8 trainers/train_detector.py BUNDLE ...
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while.
    end_on_ctrl_c()

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.arguments import ArgumentParser, number, path
from search_spaces.devices import check_device
from search_spaces.errors import UserError, unknown_name
from search_spaces.machine import prepare_machine
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from trainers.full.beginning import begun, end_process, is_first_process
from trainers.stopping import StopSignals

if TYPE_CHECKING:
    from trainers.detection.plan import DetectorPlan
    from trainers.detection.settings import Backbone, DetectorSettings

# What is imported above is light: --help answers at once, and Ctrl-C finds a handler while torch is being imported.

DESCRIPTION = """\
Trains one of torchvision's detectors on images in COCO's format, with the network of a bundle as its
backbone, and evaluates it by COCO's mean average precision.

BUNDLE is a directory that an export or a full training wrote. Its weights are where the training starts
from, and its batch norms stay as they are. With --init scratch, or one of the paper's models by name in
place of the bundle (resnet50-attention), nothing is trained before."""

EPILOG = """\
settings:
  data.root=DIR     annotations/instances_train*.json and annotations/instances_val*.json with the images in
                    train*/ and val*/ or images/; or train/ and valid/ with _annotations.coco.json; or
                    instances.json and images/, of which data.validation_fraction is held out
  data.image_size=640   pixels of the squares into which images are fitted
  data.validation_fraction, data.split_seed, data.loader_workers
  recipe=NAME       one of trainers/recipes/ (default: coco), or a file as those: FILE.yaml
  recipe.epochs, recipe.batch_size (of all processes together; the learning rate changes with it, unless it is
                    given, too), recipe.learning_rate, recipe.optimizer and others of trainers/train.py
  recipe.micro_batch=N  images that a process takes through the detector at a time; without it on a CPU two of 640
                    pixels of a bundle's network, where they divide the batch, and else all of its share
  recipe.augment=none | flip_crop   mirrored, larger or smaller, and anywhere in its square

examples:
  python trainers/train_detector.py bundles/knee-trained/bundle data.root=/data/coco
  torchrun --nproc-per-node 8 trainers/train_detector.py resnet50-attention data.root=/data/coco

Each epoch is checkpointed, and every 10 minutes (recipe.checkpoint_minutes=N). Ctrl-C, SIGTERM, SIGUSR1 and
a closed terminal end it after the next step, or pass of a single process, checkpointed, and the same command
goes on. The output directory ends up with result.json (COCO's twelve numbers), precisions.csv (those of each
class), history.csv, whose val_accuracy is the mean average precision, and the detector (detector/), which
trainers/predict.py asks what is on pictures.

--longer recipe.epochs=N goes on, from where it is, with a training that was begun for fewer epochs, ended or
not: its learning rate rises to that of N epochs there. What it had come to is put aside, in after-M-epochs/."""


def main(arguments: list[str]) -> int:
    """Runs the program and returns its exit code: 0, 1 for a failure, 2 for a mistake, 130 after Ctrl-C, 143 after
    SIGTERM and SIGUSR1, 129 after SIGHUP.
    """

    def prepare() -> "DetectorPlan | None":
        options = _parser().parse_intermixed_args(arguments)
        settings = _settings(options)
        if options.print_config:
            from trainers.detection.settings import detector_config_text

            if is_first_process():
                print(detector_config_text(settings), end="")
            return None
        return _prepare(options, settings)

    return begun(prepare, lambda plan, signals: _run(plan, arguments, signals))


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog=program("trainers/train_detector.py"),
        usage="%(prog)s BUNDLE data.root=DIR [SETTING=VALUE ...] [flags]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", type=path, help="a bundle, or one of the paper's models")
    parser.add_argument("settings", metavar="SETTING=VALUE", nargs="*", help="see below")
    parser.add_argument("--model", metavar="MODEL", help="retinanet (default) or faster_rcnn")
    parser.add_argument(
        "--pyramid", metavar="OPERATOR",
        help="what the levels of its pyramid are computed by: convolution (default) or attention",
    )  # fmt: skip
    parser.add_argument(
        "--head", metavar="OPERATOR",
        help="what retinanet's head is made of: convolution (default) or attention",
    )  # fmt: skip
    parser.add_argument(
        "--init", metavar="INIT", help="weights (default for a bundle): start from the bundle's; or scratch"
    )
    parser.add_argument("--out", metavar="DIR", type=path, help="output directory (default: BUNDLE-detector)")
    parser.add_argument(
        "--longer", action="store_true",
        help="go on with the training in --out to more epochs, those of recipe.epochs=N, though it was begun for fewer",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: auto, a GPU if any)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=number(int, "a whole number"),
        help="of weights, order and augmentation (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every setting as YAML, which --config takes, and start nothing",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=path, help="settings from a file that --print-config printed; others go on top"
    )
    return parser


def _settings(options: argparse.Namespace) -> "DetectorSettings":
    from trainers.detection.settings import PARTS, check_pycocotools, chosen_parts, detector_settings

    check_device(options.device)
    if options.bundle is None:
        raise UserError("BUNDLE is missing: a directory that an export wrote, or a model of the paper (see --help).")
    check_pycocotools()
    backbone = _backbone(options.bundle, options.init)
    overrides, seed, parts = options.settings, options.seed, {}
    if options.config is not None:
        from trainers.full.config_text import read_config

        overrides, seed_of_file, others = read_config(options.config, overrides, [PARTS])
        seed, parts = seed_of_file if seed is None else seed, others.get(PARTS, {})
    chosen = chosen_parts({"model": options.model, "pyramid": options.pyramid, "head": options.head}, parts)
    return detector_settings(backbone, *chosen, overrides, seed or 0)


def _prepare(options: argparse.Namespace, settings: "DetectorSettings") -> "DetectorPlan":
    from trainers.full.needs import training_needs

    prepare_machine(training_needs(settings.data.loader_workers))
    # Torch takes seconds to import: what is typed wrong is said before.
    from trainers.detection.plan import prepare_detector

    out = Path(options.out or f"{Path(options.bundle).resolve()}-detector")
    return prepare_detector(settings, out, options.device, longer=options.longer)


def _backbone(name: str, init: str | None) -> "Backbone":
    from search_spaces.paper_models import ARCHITECTURES
    from search_spaces.pasted_commands import python_command
    from search_spaces.run_files import export_instead
    from trainers.bundle.document import has_weights, read_bundle, sound_weights
    from trainers.detection.settings import PAPER_INPUT, Backbone

    if init not in (None, "weights", "scratch"):
        raise unknown_name("--init", init, ("weights", "scratch"))
    directory = Path(name)
    if not directory.exists() and name in ARCHITECTURES:
        if init == "weights":
            raise UserError(
                f"--init is 'weights', and {name!r} is a model of the paper, which has none: expected a bundle."
            )
        return Backbone(ARCHITECTURES[name], **PAPER_INPUT)
    if not directory.exists() and os.sep not in name:
        raise UserError(
            f"{unknown_name('bundle or model of the paper', name, ARCHITECTURES)}{export_instead(directory)}"
        )
    bundle = read_bundle(directory)
    if init != "scratch" and not has_weights(directory):
        raise UserError(
            f"{name!r} holds no weights, as none were kept or it was never trained: --init scratch starts without any, "
            f"and {python_command('trainers/train.py', name)} trains its network first."
        )
    rule = bundle.input_rule
    digest = None if init == "scratch" else sound_weights(directory)[0]
    weights_of = None if digest is None else directory
    return Backbone(bundle.architecture, rule.size, rule.mean, rule.std, weights_of, digest, bundle.provenance)


def _run(plan: "DetectorPlan", arguments: list[str], signals: StopSignals) -> int:
    from search_spaces.units import counted, readable_duration
    from trainers.detection.document import DETECTOR
    from trainers.detection.readout import announce_detector, score_lines
    from trainers.detection.training import finished_detector, train_detector
    from trainers.full.ends import carried_out, command_again

    processes = plan.processes

    def train() -> None:
        result = finished_detector(plan)
        if processes.is_first and result is None:
            announce_detector(plan)
        result = result or train_detector(plan, signals.requested)
        processes.leave()
        if processes.is_first:
            for line in score_lines(result["scores"]):
                print(line)
            print(f"trained  {counted(result['epochs'], 'epoch')} in {readable_duration(result['seconds'])}")
            print(f"result   {plan.result_file}")
            print(f"detector {plan.out / DETECTOR}")

    return carried_out(train, processes, signals, command_again(arguments))


if __name__ == "__main__":
    end_process(run_program(main))
