"""The latency of a trial's network, measured while other trials train.

A machine that trains is no quiet place: clocks differ, and what runs beside a network slows it, two- or threefold at
times. So a worker measures a network beside a reference, one run of each in turn, and what it reports is the median
ratio of the two times the reference's own latency, which was measured once, before any trial ran. What slows both alike
cancels, a busy machine as well as a slower one of the same cluster; what slows only one of them, such as a cache that
is too small for one, does not. Device, batch, precision and threads are those of the trials. On 2 busy cores ratios
repeat within some 2 %, where medians of plain runs scatter by 5 to 20 %.
"""

import torch

from nas.records.latency_reference import LatencyReference
from nas.workers.trial_config import TrialConfig
from trainers.inference import latency_ratio
from trainers.model import seeded_model


def measured_latency(trial: TrialConfig, reference: LatencyReference) -> float:
    """Milliseconds that the network of a trial takes, measured beside `reference`.

    Networks are built anew, since weights make no difference, so the one that is trained stays untouched.
    """
    torch.set_num_threads(trial.threads)
    ratio = latency_ratio(
        seeded_model(trial.architecture, trial.data_summary, 0),
        seeded_model(reference.architecture, trial.data_summary, 0),
        trial.data_summary,
        batch=reference.batch,
        device=trial.device,
        precision=trial.training.precision,
    )
    return ratio * reference.latency_ms
