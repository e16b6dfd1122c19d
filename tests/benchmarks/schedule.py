"""How a simulated search trains: for how many epochs, and where it decides on the way."""

from dataclasses import dataclass, replace

from nas.driver.command_line import read_command
from nas.strategy.halving import rung_epochs
from trainers.data.config import DataConfig
from trainers.data.datasets import check_data


@dataclass(frozen=True, slots=True)
class Schedule:
    """`epochs` of a full training, the first rung and how much further each next one is, and the least error that tells
    from none."""

    epochs: int
    minimum_epochs: int
    reduction_factor: int
    resolution: float

    @property
    def rungs(self) -> tuple[int, ...]:
        return rung_epochs(self.minimum_epochs, self.epochs, self.reduction_factor)

    def of_results(self) -> "Schedule":
        """That of tables without curves: a training is one epoch, with nothing to decide on the way."""
        return replace(self, epochs=1)


# With made-up learning curves.
MADE_UP = Schedule(epochs=54, minimum_epochs=2, reduction_factor=3, resolution=1e-5)


def schedule_of(data: DataConfig, epochs: int) -> Schedule:
    """That of a search on this data with the settings that come with it. Raises UserError where it cannot be read."""
    search = read_command(["--space", "resnet_stages", f"data={data.name}"]).search
    resolution = 0.5 / check_data(data).validation_images
    return Schedule(epochs, search.minimum_epochs, search.reduction_factor, resolution)
