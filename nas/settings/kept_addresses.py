"""Addresses of a search's stores, which are kept without their secrets; those have to be given again."""

import os
from collections.abc import Mapping
from typing import Any

from nas.settings.addresses import HIDDEN, redacted
from nas.settings.search_settings import TrackingSettings
from search_spaces.errors import UserError

MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"


def whole_address(kept: str, given: str | None, variable: str) -> str | None:
    """The address of which `redacted` left `kept`: that itself where nothing is missing in it, `given`, or the one in
    `variable` of the environment. None where none of them is."""
    known = (kept if HIDDEN not in kept else None, given, os.environ.get(variable))
    return next((address for address in known if address and redacted(address) == kept), None)


def kept_tracking(tracking: TrackingSettings) -> dict[str, Any]:
    """The MLflow store of a search as its ledger keeps it."""
    return {"uri": None if tracking.uri is None else redacted(tracking.uri), "experiment": tracking.experiment}


def known_tracking(kept: Mapping[str, Any], uri: str | None, how: str) -> TrackingSettings:
    """The MLflow store that `kept_tracking` wrote, or that at `uri` where one is given.

    Raises UserError where its secrets are not known; `how` says how to give `uri`.
    """
    if uri is None and kept["uri"] is not None:
        uri = whole_address(kept["uri"], None, MLFLOW_VARIABLE)
        if uri is None:
            raise UserError(
                f"the MLflow store of the search is {kept['uri']!r}, kept without its password: "
                f"give it whole by {how} or in {MLFLOW_VARIABLE}."
            )
    return TrackingSettings(uri, kept["experiment"])
