"""A model of the paper as a bundle: made without torch, and without a search, so that baselines train as others do."""

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version

from nas.driver.code_revision import code_revision
from nas.settings.header import SearchHeader
from search_spaces.architecture import Architecture
from search_spaces.paper_models import architecture_named
from trainers.bundle.contents import Bundle
from trainers.bundle.provenance import PaperProvenance
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary
from trainers.data.datasets import examine_data, summary_without_images
from trainers.data.fingerprint import DataFingerprint
from trainers.full.train_settings import settings_of
from trainers.recipe_files import full_training

# What the paper's models were made for.
DATA = "imagenet"


def paper_bundle(model: str, overrides: Sequence[str], search: SearchHeader | None) -> Bundle:
    """The paper's model of that name for the images of a search, else for those that the overrides name, or ImageNet.

    The overrides are those of a full training. Raises UserError on an unknown name, and where images are not there.
    """
    architecture = architecture_named(model)
    if search is None:
        data, summary, fingerprint = DATA_DEFAULTS[DATA], summary_without_images(DATA_DEFAULTS[DATA]), None
        assert summary is not None
    else:
        data, summary, fingerprint = search.data, search.data_summary, search.data_fingerprint
    made = _bundle(model, architecture, data, summary, fingerprint)
    settings = settings_of(made, overrides, 0)
    if settings.data != data.located():
        summary, fingerprint = _looked_at(settings.data)
        made = _bundle(model, architecture, settings.data, summary, fingerprint)
    return dataclasses.replace(made, recipe=settings.recipe).described()


def _looked_at(data: DataConfig) -> tuple[DataSummary, DataFingerprint | None]:
    """What is known of the images; a data set that always is the same need not be there, or downloaded."""
    known = summary_without_images(data)
    if known is not None:
        return known, None
    found = examine_data(data)
    return found.summary, found.fingerprint


def _bundle(
    model: str,
    architecture: Architecture,
    data: DataConfig,
    summary: DataSummary,
    fingerprint: DataFingerprint | None,
) -> Bundle:
    cost = summary.cost(architecture)
    provenance = PaperProvenance(model, code_revision(), version("torch"), cost.flops, cost.params)
    return Bundle(architecture, full_training(data.name), data, summary, provenance, fingerprint)
