"""Optuna's samplers, as the search uses them."""

import warnings

import optuna

from nas.records.seeds import derived_seed
from nas.settings.search_settings import SAMPLERS
from search_spaces.errors import unknown_name

TPE_STARTUP_TRIALS = 10


def sampler_named(name: str, *, search_seed: int, proposal: int) -> optuna.samplers.BaseSampler:
    """The sampler for one proposal, seeded by (search_seed, proposal), so that a resumed search proposes the same."""
    seed = derived_seed("proposal", search_seed, proposal)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Samples the choices together; as it comes it takes each on its own. Running trials count as bad news.
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=TPE_STARTUP_TRIALS
            )
    raise unknown_name("search.sampler", name, SAMPLERS)
