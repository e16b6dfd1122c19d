import pytest

from nas.settings.cluster_settings import ClusterSettings
from search_spaces.errors import UserError


@pytest.mark.parametrize(
    ("gpus", "cpus"),
    [(-1, 1), (1.5, 1), (1e-5, 1), (float("nan"), 1), (float("inf"), 1), (0, 0), (0, -2), (0, 1e-5), (0, float("nan"))],
)
def test_resources_that_ray_cannot_give_are_refused(gpus: float, cpus: float) -> None:
    with pytest.raises(UserError, match="-per-trial is"):
        ClusterSettings(None, gpus, cpus)


def test_a_process_a_gpu_and_a_cpu_a_process() -> None:
    def taken(gpus: float, cpus: float, processes: int | None) -> tuple[int, float, int, float]:
        found = ClusterSettings(None, gpus, cpus, processes_per_trial=processes)
        return found.processes, found.trial_cpus, found.process_threads, found.gpu_memory_share

    assert taken(0, 1, None) == (1, 1, 1, 1.0)
    assert taken(0, 0.5, None) == (1, 0.5, 1, 1.0)
    assert taken(0.5, 1, None) == (1, 1, 1, 0.5)
    assert taken(4, 1, None) == (4, 4, 1, 1.0)
    assert taken(4, 16, 4) == (4, 16, 4, 1.0)
    assert taken(0, 1, 2) == (2, 2, 1, 1.0)


@pytest.mark.parametrize(
    ("gpus", "processes", "message"),
    [
        (0, 0, "--processes-per-trial is 0: expected a whole number from 1"),
        (4, 2, "--processes-per-trial is 2: expected 4, one for each GPU of --gpus-per-trial 4"),
        (0.5, 2, "--processes-per-trial is 2: expected 1"),
    ],
)
def test_processes_that_would_leave_gpus_idle_or_share_one_are_refused(
    gpus: float, processes: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ClusterSettings(None, gpus, 1, processes_per_trial=processes)


def test_a_dashboard_is_for_a_ray_that_is_started_here() -> None:
    assert ClusterSettings(None, 0, 1, dashboard=True).dashboard
    with pytest.raises(UserError, match=r"--dashboard is for the Ray of one machine.*--address is 'auto'"):
        ClusterSettings("auto", 0, 1, dashboard=True)


def test_a_type_of_accelerator_is_for_trials_on_gpus() -> None:
    assert ClusterSettings(None, 1, 1, accelerator="A100").accelerator == "A100"
    with pytest.raises(UserError, match="--accelerator is 'A100': expected --gpus-per-trial above 0 with it"):
        ClusterSettings(None, 0, 1, accelerator="A100")
