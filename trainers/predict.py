"""Says what a bundle's network takes pictures for, or what a detector finds on them.

python trainers/predict.py BUNDLE IMAGE... [--json] [--top N]
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c, ending_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while.
    end_on_ctrl_c()

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.arguments import ArgumentParser, number, path
from search_spaces.errors import UserError, printable
from search_spaces.exit_codes import MISTAKE, SUCCESS
from search_spaces.machine import TORCH_ADDRESS_BYTES, check_address_space, prepare_temporary_directory
from search_spaces.pasted_commands import python_command
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from trainers.bundle.document import is_bundle, read_bundle, sound_weights
from trainers.bundle.given_pictures import given_picture
from trainers.detection.document import DOCUMENT

# Torch takes seconds to import: a mistake is said before.
if TYPE_CHECKING:
    from trainers.bundle.prediction import Prediction
    from trainers.detection.prediction import Detection

# So many classes of a picture are printed.
SHOWN = 3


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 2 on a user's mistake, unreadable images too, 130 for an interruption."""
    try:
        # Torch would print what it is interrupted by, or make another error of it.
        with ending_on_ctrl_c():
            return _predict(_parser().parse_args(list(arguments)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE


def _predict(options: argparse.Namespace) -> int:
    directory = Path(options.bundle)
    _check_order(options)
    if (directory / DOCUMENT).is_file():
        return _detect(directory, *_named(options.images, options.top), options)
    bundle = read_bundle(directory)
    sound_weights(directory)
    named, problems = _named(options.images, options.top)
    prepare_temporary_directory()
    check_address_space(TORCH_ADDRESS_BYTES)
    from trainers.bundle.prediction import Prediction, predict

    # In their order, but for those that are no files, which come last.
    others = (Prediction(printable(image), problem=problem) for image, problem in problems.items())
    predictions = chain(predict(directory, bundle, named), others)
    return _print_json(predictions, options.top) if options.json else _print_text(predictions, options.top)


def _check_order(options: argparse.Namespace) -> None:
    """Raises UserError where a picture stands before the bundle."""
    bundle = next((image for image in options.images if is_bundle(Path(image))), None)
    if bundle is not None and os.path.isfile(options.bundle):
        meant = [bundle, options.bundle, *(image for image in options.images if image != bundle)]
        raise UserError(
            f"{options.bundle!r} is a file, and {bundle!r} a bundle: the bundle comes first. Did you mean "
            f"{python_command('trainers/predict.py', *meant)}?"
        )


def _detect(directory: Path, named: Sequence[str], problems: Mapping[str, str], options: argparse.Namespace) -> int:
    prepare_temporary_directory()
    check_address_space(TORCH_ADDRESS_BYTES)
    from trainers.detection.prediction import Detection, detect

    others = (Detection(printable(image), problem=problem) for image, problem in problems.items())
    detections = chain(detect(directory, named), others)
    return _print_json(detections, options.top) if options.json else _print_objects(detections, options.top)


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog=program("trainers/predict.py"),
        usage="%(prog)s BUNDLE IMAGE [IMAGE ...] [--json] [--top N]",
        description="Say what the network of a bundle takes pictures for: the most probable classes of each, with "
        "their probabilities. Pictures are prepared as the images that it was evaluated on. Of a detector that "
        "trainers/train_detector.py wrote: what it finds on each, with scores and boxes (left,top widthxheight, in "
        "pixels).",
        allow_abbrev=False,
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=path, help="directory that an export or a training wrote, or a detector"
    )
    # One whose name cannot be does not keep the others from their answers.
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="files of pictures")
    parser.add_argument("--json", action="store_true", help="print a list of objects, one a picture, as JSON")
    parser.add_argument(
        "--top",
        metavar="N",
        type=number(int, "a whole number"),
        help=f"show the N most probable classes, or surest objects (default: {SHOWN}, and all of them as JSON)",
    )
    return parser


def _named(images: Sequence[str], top: int | None) -> tuple[list[str], dict[str, str]]:
    """The files of pictures that were named, and what is wrong with others, by what was typed.

    Raises UserError where one is empty text, or none of them is a file: that is said before torch is loaded.
    """
    if top is not None and top < 1:
        raise UserError(f"--top is {top}: expected 1 or more.")
    paths: list[str] = []
    problems: dict[str, str] = {}
    for image in images:
        if not image:
            raise UserError("IMAGE is empty: expected the file of a picture.")
        path, problem = given_picture(image)
        if problem is None:
            paths.append(path)
        else:
            problems[image] = problem
    if not paths:
        raise UserError(next(iter(problems.values())))
    return paths, problems


def _print_objects(detections: "Iterable[Detection]", top: int | None) -> int:
    code = SUCCESS
    for detection in detections:
        if detection.problem is not None:
            code = _print_problem(detection.problem)
            continue
        _print_remark(detection.remark)
        found = (
            f"{printable(each.name)} {each.score:.2f} at {each.box[0]:.0f},{each.box[1]:.0f} "
            f"{each.box[2]:.0f}x{each.box[3]:.0f}"
            for each in detection.objects[: SHOWN if top is None else top]
        )
        print(f"{printable(detection.image)}: {'; '.join(found) or 'nothing'}", flush=True)
    return code


def _print_text(predictions: "Iterable[Prediction]", top: int | None) -> int:
    code = SUCCESS
    for prediction in predictions:
        if prediction.problem is not None:
            code = _print_problem(prediction.problem)
            continue
        _print_remark(prediction.remark)
        guesses = (
            f"{printable(guess.name)} {guess.probability:.2%}"
            for guess in prediction.guesses[: SHOWN if top is None else top]
        )
        print(f"{printable(prediction.image)}: {', '.join(guesses)}", flush=True)
    return code


def _print_json(predictions: "Iterable[Prediction | Detection]", top: int | None) -> int:
    code, documents = SUCCESS, []
    for prediction in predictions:
        document = prediction.to_json()
        if prediction.problem is None:
            several = "predictions" if "predictions" in document else "objects"
            document[several] = document[several][:top]
            _print_remark(prediction.remark)
        else:
            code = _print_problem(prediction.problem)
        documents.append(document)
    print(json.dumps(documents, ensure_ascii=False, indent=2))
    return code


def _print_remark(remark: str | None) -> None:
    if remark is not None:
        print(f"warning: {remark}", file=sys.stderr)


def _print_problem(problem: str) -> int:
    print(f"error: {problem}", file=sys.stderr)
    return MISTAKE


if __name__ == "__main__":
    sys.exit(run_program(main))
