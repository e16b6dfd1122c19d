"""The latency of a trial's network, measured while other trials train.

A machine that trains is no quiet place: clocks differ, and what runs beside a network slows it, two- or threefold at
times. So a worker measures a network beside a yardstick, one run of each in turn, and what it reports is the median
ratio of the two times the yardstick's own latency, which was measured once, before any trial ran. What slows both alike
cancels, a busy machine as well as a slower one of the same cluster; what slows only one of them, such as a cache that
is too small for one, does not. Device, batch, precision and threads are those of the trials. On 2 busy cores ratios
repeat within some 2 %, where medians of plain runs scatter by 5 to 20 %.
"""

from collections.abc import Mapping
from typing import Any

import torch

from nas.records.latency_reference import Yardstick
from search_spaces.architecture import Architecture
from trainers.data.config import DataSummary
from trainers.inference import latency_ratio
from trainers.model import seeded_model
from trainers.recipe import Recipe


def measured_latency(config: Mapping[str, Any]) -> float:
    """Milliseconds that the network of a trial takes; `config` is that of `nas.workers.trial`, "yardstick" given.

    Networks are built anew, since weights make no difference, so the one that is trained stays untouched.
    """
    torch.set_num_threads(config["threads"])
    yardstick = Yardstick.from_json(config["yardstick"])
    summary = DataSummary.from_json(config["data_summary"])
    ratio = latency_ratio(
        seeded_model(Architecture.from_json(config["architecture"]), summary, 0),
        seeded_model(yardstick.architecture, summary, 0),
        summary,
        batch=yardstick.batch,
        device=config["device"],
        precision=Recipe.from_json(config["training"]).precision,
    )
    return ratio * yardstick.latency_ms
