"""What Ray has to find in the environment before it is imported, so that a local run talks to nobody else."""

import os
import secrets

from cluster.connection import check_connection
from nas.settings.cluster_settings import ClusterSettings

# Ray takes this machine's outward address for its processes, and then listens on every interface. Its switch for
# systems whose firewalls ask at every port keeps it to the loopback interface.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def check_cluster(cluster: ClusterSettings) -> None:
    """Raises UserError, within 15 s, where the cluster that a search is to join does not answer or let it in."""
    if cluster.address is not None:
        check_connection(cluster.address)


def set_ray_environment(cluster: ClusterSettings) -> None:
    """Keeps a local Ray to this machine's loopback interface and to those who know a token made for this run.

    The token is in the environment of this process and its children, and nowhere else. A cluster that is joined has
    settings of its own, which stay.
    """
    if cluster.address is None:
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        os.environ.update({**_LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
