"""What Ray Tune sends of the driver's environment to its workers: no credentials, which every node has of its own."""

from ray.tune.execution import class_cache

# Ray Tune would send them, and Ray writes what it sends into a log that every user of the node may read.
CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"})


def keep_credentials() -> None:
    """Has Ray Tune send no credentials from now on, in this process."""
    class_cache.ENV_VARS_TO_PROPAGATE = class_cache.ENV_VARS_TO_PROPAGATE - CREDENTIALS
