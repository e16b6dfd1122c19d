"""The programs of the project and what they are called: a script of a checkout, or a part of the installed command."""

from search_spaces.version import project_directory

COMMAND = "vision-nas"
# By the word after the command: the script, and what it is for.
PROGRAMS = {
    "search": ("nas/search.py", "search architectures for accuracy against FLOPs or latency"),
    "status": ("nas/status.py", "what a search is doing"),
    "control": ("nas/control.py", "change the limits of a running search, or end it"),
    "report": ("nas/report.py", "the report of a search, or of several compared"),
    "export": ("nas/export.py", "the front of a search, and bundles of its architectures"),
    "train-fully": ("nas/train_fully.py", "train the best of a front and the anchors fully"),
    "train": ("trainers/train.py", "train the network of a bundle"),
    "train-on-ray": ("nas/train_on_ray.py", "the same with several processes of a Ray cluster"),
    "train-detector": ("trainers/train_detector.py", "train a detector on the network of a bundle"),
    "predict": ("trainers/predict.py", "what the network of a bundle takes pictures for"),
    "compare": ("trainers/compare.py", "fully trained networks beside each other"),
    "cost": ("search_spaces/cost.py", "FLOPs and parameters of an architecture"),
    "tune-attention": ("search_spaces/attention/tune.py", "tune the kernels of attention on this GPU"),
    "check-cluster": ("cluster/check.py", "check every node of a Ray cluster"),
}
# Those that are started as modules, by `python -m`.
MODULES = ("search_spaces/cost.py", "search_spaces/attention/tune.py", "cluster/check.py")


def program_words(script: str) -> list[str]:
    """How a script of the project is called, as words: as one of a checkout, where there is one."""
    if project_directory() is None:
        return [COMMAND, next(word for word, (path, _) in PROGRAMS.items() if path == script)]
    if script in MODULES:
        return ["python", "-m", script.removesuffix(".py").replace("/", ".")]
    return ["python", script]


def program(script: str) -> str:
    """The same in one text, for a help."""
    return " ".join(program_words(script))
