"""The check of the nodes of a search: of all before it starts, then of each that joins or was left out."""

import logging
from dataclasses import dataclass, replace

from cluster.node_checks import NodeCheck, check_nodes
from cluster.node_findings import usable
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.trial_config import TrialTemplate
from trainers.folders import Directory, ExistingDirectory
from trainers.storage.remote_folder import RemoteFolder

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckedNodes:
    """The check that nodes have to pass, and those that were checked, by their ids.

    `left_out` says what keeps those from training that are left out; `training` are the others.
    """

    check: NodeCheck
    left_out: dict[str, str]
    training: frozenset[str]


def checked_nodes(cluster: ClusterSettings, template: TrialTemplate) -> CheckedNodes | None:
    """The nodes of a cluster, checked just now, what is wrong with them said; None where there is but this machine.

    Raises UserError where the search shall not start with them (`cluster.bad_nodes`).
    """
    if cluster.address is None:
        return None
    # Ray Tune's loop starts checks, too, and a storage that does not answer is waited for by who trains.
    storage = template.directory.kept
    if isinstance(storage, Directory):
        storage = ExistingDirectory(storage.path)
    if isinstance(storage, RemoteFolder):
        storage = replace(storage, patience_seconds=0.0)
    check = NodeCheck(storage, template.data, template.data_summary, template.known_files)
    reports = check_nodes(check)
    for name in [name for name, report in reports.values() if report.is_gone]:
        LOGGER.warning("node %s left the cluster during its check", name)
    reports = {node: found for node, found in reports.items() if not found[1].is_gone}
    used = usable({name: report.verdict.problems for name, report in reports.values()}, cluster.bad_nodes)
    for name, report in reports.values():
        said = report.verdict.warnings if name not in used else (*report.verdict.problems, *report.verdict.warnings)
        for text in said:
            LOGGER.warning("node %s: %s", name, text)
    training = frozenset(node for node, (name, _) in reports.items() if name in used)
    left_out = {node: str(report.problem) for node, (_, report) in reports.items() if node not in training}
    return CheckedNodes(check, left_out, training)
