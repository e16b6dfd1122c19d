"""The check of the nodes of a search, before it starts and of each node that joins later."""

from cluster.node_checks import NodeCheck, check_nodes
from nas.settings.search_settings import ClusterSettings
from nas.workers.trial_config import TrialTemplate


def checked_nodes(cluster: ClusterSettings, template: TrialTemplate) -> NodeCheck | None:
    """The check that every node of a cluster has passed just now; None where there is but this machine.

    Raises UserError where one has not.
    """
    if cluster.address is None:
        return None
    check = NodeCheck(template.directory.path, template.data, template.data_summary, template.known_files)
    check_nodes(check)
    return check
