"""A comparison of searches in MLflow: what it writes there, and what is said of it."""

import time

from nas.driver.compared_searches import Comparison
from nas.driver.conclusion import shown_at
from nas.settings.run_directory import RunDirectory
from nas.settings.store_settings import TrackingSettings
from nas.tracking.compared_fronts import log_comparison
from nas.tracking.environment import quiet_mlflow
from nas.tracking.store_address import store_uri
from nas.tracking.writer_thread import reason_of


def compared_in_mlflow(
    comparison: Comparison, directory: RunDirectory, tracking: TrackingSettings
) -> tuple[bool, list[str]]:
    """Writes a comparison into MLflow, by default beside `directory`. Whether it went well, and what to say of it."""
    quiet_mlflow()
    uri = store_uri(tracking, directory)
    said = "\n\n".join(comparison.lines)
    ids = [ledger.search_id for ledger in comparison.ledgers]
    now_ms = round(1000 * time.time())
    try:
        fronts = log_comparison(uri, tracking.experiment, comparison.searches, ids, comparison.files, said, now_ms)
    except Exception as error:  # Each store has errors of its own.
        return False, [f"MLflow   could not be written ({reason_of(error, uri)}): the same command tries it again"]
    return True, shown_at(uri, {"fronts": fronts})
