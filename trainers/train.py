"""Trains a bundle's network fully, from scratch, and evaluates it on the test split.

python trainers/train.py BUNDLE [data=cifar10] [data.root=DIR] [recipe.epochs=100] [--out DIR]
torchrun --nproc-per-node 8 trainers/train.py BUNDLE ...
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
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.arguments import ArgumentParser, number, path
from search_spaces.devices import check_device
from search_spaces.errors import UserError, unknown_name
from search_spaces.machine import TRAINING_ADDRESS_BYTES, check_address_space, prepare_machine
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from trainers.full.beginning import begun, end_process, is_first_process
from trainers.stopping import StopSignals

if TYPE_CHECKING:
    from trainers.bundle.contents import Bundle
    from trainers.full.extras import Extras
    from trainers.full.plan import Plan
    from trainers.full.train_settings import TrainSettings

# What is imported above is light: --help answers at once, and Ctrl-C finds a handler while torch is being imported.

DESCRIPTION = """\
Trains the network of a bundle fully, from scratch, and evaluates it once on the test split.

The data set is the bundle's own unless data=NAME says another. The recipe is that of recipe=NAME, else
the bundle's own on the bundle's data set, and that data set's full training on any other. Settings on
the command line go on top of both.

With --init weights it goes on from the bundle's weights instead, at a tenth of the learning rate and
the bundle's image size. Where the classes differ, the classifier is made anew."""
INITS = ("scratch", "weights")

EPILOG = """\
settings:
  data=cluttered_digits | digits | cifar10 | cifar100 | image_folder | tar_shards | imagenet
  data.root=DIR     where the images are: image_folder has class folders alone, or train/ and perhaps
                    val/ and test/ that hold them; imagenet has train/ and val/, which is its test
                    split, in class folders or in one folder with LOC_val_solution.csv,
                    val_annotations.txt, or ILSVRC2012_validation_ground_truth.txt and
                    map_clsloc.txt; tar_shards has tar files whose names begin with train, and perhaps val
                    and test, or is a pattern as DIR/train-{000..099}.tar; cifar10 and cifar100 are
                    downloaded there
  data.image_size, data.validation_fraction, data.split_seed, data.loader_workers,
  data.resize_first, data.cache
  recipe=NAME       one of trainers/recipes/, or a file as those: FILE.yaml
  recipe.epochs, recipe.batch_size (of all processes together; the learning rate changes with it, unless it is
                    given, too), recipe.learning_rate, recipe.momentum, recipe.weight_decay,
                    recipe.label_smoothing, recipe.warmup_epochs, recipe.ema_decay
  recipe.optimizer=sgd | adamw | muon
  recipe.schedule=cosine | linear
  recipe.precision=float32 | bfloat16
  recipe.augment=none | shift | flip_crop | resized_crop
  recipe.policy=none | rand_augment | trivial_augment | aug_mix
  recipe.policy_magnitude=0 to 30 (rand_augment), recipe.random_erasing=P, recipe.mixup=ALPHA,
  recipe.cutmix=ALPHA, recipe.repeats=N (an image stands in a batch N times, each time changed otherwise)
  recipe.train_image_size=N, recipe.first_image_size=N   pixels of training images, and at first, from where
                    they grow; data.image_size is the size by which a network is evaluated and kept
  recipe.norm_batch=N   batch norm takes its statistics over N images of a batch, wherever they are
                    (0 leaves it open: the whole batch for images of up to 64 pixels, else 16 to 32)
  recipe.micro_batch=auto | N   images that a process takes through the network at a time; auto: its
                    share of a batch, on a GPU as much of it as a measured step shows to fit
  recipe.compile=none | default | reduce-overhead   torch.compile makes kernels for the network first, which
                    takes minutes; reduce-overhead records CUDA graphs, for small networks

examples:
  python trainers/train.py bundles/knee
  python trainers/train.py bundles/knee data=cifar10 recipe.epochs=100 --out runs/knee-cifar10
  python trainers/train.py bundles/knee --init weights data=image_folder data.root=DIR recipe.epochs=20
  torchrun --nproc-per-node 8 trainers/train.py bundles/knee data=imagenet data.root=/data/imagenet
  python nas/train_on_ray.py bundles/knee data=imagenet data.root=/data/imagenet --processes 8 --address auto

A line an epoch, and one every 30 s within it (recipe.report_seconds=N), say how it goes.
Each epoch is checkpointed, and every 10 minutes (recipe.checkpoint_minutes=N). Ctrl-C, SIGTERM,
SIGUSR1 and a terminal that is closed, unless under nohup, end it after the next step, or in one process
the next pass of it, checkpointed. After an interruption the same command goes on where it was, on any
number of processes. The output directory ends up with result.json, the trained network (bundle/), its
epochs (history.csv, curves.png), and what it makes of the test images class by class (classes.csv,
confusion.csv, confusion.png). --onnx, --program and --corruptions may be added when it has ended.

--longer recipe.epochs=N goes on, from where it is, with a training that was begun for fewer epochs, ended or
not: its learning rate rises to that of N epochs there. What it had come to is put aside, in after-M-epochs/."""


def main(arguments: list[str]) -> int:
    """Runs the program and returns its exit code: 0, 1 for a failure, 2 for a mistake, 130 after Ctrl-C, 143 after
    SIGTERM and SIGUSR1, 129 after SIGHUP.
    """

    def prepare() -> "tuple[Plan, Extras] | None":
        options = _parser().parse_intermixed_args(arguments)
        check_device(options.device)
        from trainers.full.extras import Extras

        extras = Extras(onnx=options.onnx, program=options.program, corruptions=options.corruptions)
        extras.check()
        settings, bundle = _settings(options)
        if options.print_config:
            if is_first_process():
                print(_config_text(settings), end="")
            return None
        return _prepare(options, settings, bundle), extras

    return begun(prepare, lambda prepared, signals: _run(*prepared, arguments, signals))


def _sections() -> dict[str, type]:
    # It takes longer to load than what most lines ask for.
    from trainers.full.train_settings import SECTIONS

    return SECTIONS


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog=program("trainers/train.py"),
        usage="%(prog)s BUNDLE [SETTING=VALUE ...] [flags]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        sections=_sections,
    )
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", type=path, help="directory that an export wrote")
    parser.add_argument("settings", metavar="SETTING=VALUE", nargs="*", help="see below")
    parser.add_argument(
        "--out", metavar="DIR", type=path, help="output directory (default: BUNDLE-trained, or BUNDLE-tuned)"
    )
    parser.add_argument(
        "--init",
        metavar="INIT",
        default="scratch",
        help="scratch, or weights: start from the bundle's, on images of other classes too (default: scratch)",
    )
    parser.add_argument(
        "--longer", action="store_true",
        help="go on with the training in --out to more epochs, those of recipe.epochs=N, though it was begun for fewer",
    )  # fmt: skip
    parser.add_argument("--onnx", action="store_true", help="add the trained network to its bundle as model.onnx")
    parser.add_argument(
        "--program", action="store_true",
        help="write the trained network beside its bundle as torch's exported program, model.pt2",
    )  # fmt: skip
    parser.add_argument(
        "--corruptions", action="store_true",
        help="measure how robust the trained network is: eight corruptions of ImageNet-C, at five severities each",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: auto, a GPU if any)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=number(int, "a whole number"),
        help="of weights, order and augmentation (default: 0)",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every setting as YAML, which --config takes, and start nothing",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=path, help="settings from a file that --print-config printed; others go on top"
    )
    return parser


def _settings(options: argparse.Namespace) -> "tuple[TrainSettings, Bundle]":
    from trainers.bundle.document import read_bundle, sound_weights
    from trainers.full.train_settings import settings_of

    if options.bundle is None:
        raise UserError("BUNDLE is missing: the directory that an export wrote (see --help).")
    if options.init not in INITS:
        raise unknown_name("--init", options.init, INITS)
    directory = Path(options.bundle)
    bundle = read_bundle(directory)
    initial = sound_weights(directory)[0] if options.init == "weights" else None
    overrides, seed = options.settings, options.seed
    if options.config is not None:
        from trainers.full.config_text import read_config

        overrides, seed_of_file, _ = read_config(options.config, overrides)
        seed = seed_of_file if seed is None else seed
    return settings_of(bundle, overrides, seed or 0, initial), bundle


def _config_text(settings: "TrainSettings") -> str:
    from trainers.full.config_text import config_text

    return config_text(settings)


def _prepare(options: argparse.Namespace, settings: "TrainSettings", bundle: "Bundle") -> "Plan":
    check_address_space(TRAINING_ADDRESS_BYTES)
    from trainers.full.needs import training_needs
    from trainers.full.plan import prepare
    from trainers.recipe import NOT_COMPILED

    is_compiled = settings.conduct.compile != NOT_COMPILED
    prepare_machine(training_needs(settings.data.loader_workers, is_compiled=is_compiled))
    directory, from_scratch = Path(options.bundle), settings.initial_weights is None
    out = Path(options.out or f"{directory.resolve()}-{'trained' if from_scratch else 'tuned'}")
    weights_of = None if from_scratch else directory
    return prepare(bundle, settings, out, options.device, weights_of, longer=options.longer)


def _run(plan: "Plan", extras: "Extras", arguments: list[str], signals: StopSignals) -> int:
    from search_spaces.units import counted, readable_duration
    from trainers.full.ends import carried_out, command_again
    from trainers.full.extras import add_extras
    from trainers.full.full_training import finished_result, run
    from trainers.full.readout import announce, measured_lines, unreadable_line

    processes = plan.processes

    def train() -> None:
        result = finished_result(plan)
        if processes.is_first and result is None:
            announce(plan)
        result = add_extras(plan, result or run(plan, signals.requested), extras, signals.requested)
        processes.leave()
        if processes.is_first:
            test = "no test split" if result["test_accuracy"] is None else f"{result['test_accuracy']:.2%}"
            print(f"test     {test}  (validation {result['val_accuracy']:.2%})")
            for line in measured_lines(result):
                print(line)
            print(f"trained  {counted(result['epochs'], 'epoch')} in {readable_duration(result['seconds'])}")
            if unreadable := unreadable_line(result):
                print(f"images   {unreadable}")
            print(f"result   {plan.result_file}")
            print(f"bundle   {plan.out / 'bundle'}")

    return carried_out(train, processes, signals, command_again(arguments))


if __name__ == "__main__":
    end_process(run_program(main))
