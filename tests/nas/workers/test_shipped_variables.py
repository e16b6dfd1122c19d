"""No secret of the driver's environment is sent to workers, where Ray would write it into a log."""

import pytest
from ray.tune.execution import class_cache
from ray.tune.trainable import Trainable

from nas.workers.shipped_variables import CREDENTIALS, keep_credentials


def sent() -> str:
    """What Ray Tune makes of the environment of the workers of a trial."""
    return str(class_cache._ActorClassCache().get(Trainable)._default_options)


def test_credentials_stay_with_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", class_cache.ENV_VARS_TO_PROPAGATE)
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "canary")
    # Ray Tune's own way, which this is for: where that changes, this file may go.
    assert "canary" in sent()
    keep_credentials()
    assert "canary" not in sent() and "PL_DISABLE_FORK" in sent()
    keep_credentials()
    assert "canary" not in sent()
