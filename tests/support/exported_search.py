"""A finished search as its ledger and checkpoints hold it, for the tests of what is exported from it."""

from pathlib import Path

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory, run_directory
from tests.support.bundles import inference_cost
from tests.support.searches import epoch_result, search_header, search_settings, tiny_space
from trainers.checkpoint import save_checkpoint
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.recipe_files import full_training

# Of trials 0 to 3; trial 2 is dominated, and its weights are gone.
ACCURACIES = (0.9, 0.8, 0.7, 0.95)


def finished_search(runs: Path, name: str = "found", storage: str | None = None) -> tuple[RunDirectory, Ledger]:
    """A search of four trials of two epochs; the front is 1, 0 and 3 by rising FLOPs, 1 and 0 are measured.

    Its checkpoints are in its directory, or at `storage`.
    """
    directory = run_directory(str(runs), name).stored_at(storage)
    data = DATA_DEFAULTS["digits"]
    summary = check_data(data)
    header = search_header(
        data=data,
        data_summary=summary,
        training=full_training("digits"),
        search=search_settings(seed=5),
        code_revision="96e04f6db345",
        storage=storage,
    )
    directory.path.mkdir(parents=True)
    ledger = Ledger.create(ledger_url(directory.ledger), name, header)
    ledger.record_tracking({"uri": None, "experiment": "searches"})
    anchors = tiny_space().anchors()
    for accuracy in ACCURACIES:
        number = ledger.next_number
        architecture = ledger.propose(tiny_space(), "random", 0) if number else anchors[0]
        flops = {0: 2000, 1: 1000, 2: 3000, 3: 4000}[number]
        record = TrialRecord(number, architecture, flops, 100 - number, 11 + number, "running", anchor=number == 0)
        ledger.register(record, tiny_space())
        for epoch in (1, 2):
            ledger.record_epoch(number, epoch_result(epoch, accuracy - 0.2 * (2 - epoch)))
        ledger.end(number, "finished")
        model = seeded_model(architecture, summary, number)
        state = {"training": {"averaged": None, "model": model.state_dict()}, "results": []}
        if number != 2:
            save_checkpoint(directory.checkpoints(number), 2, state)
    for number in (0, 1):
        ledger.record_inference(number, inference_cost(latency_ms=2.0 - number, peak_memory_mb=3.25))
    return directory, ledger
