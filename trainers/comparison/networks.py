"""Fully trained networks, the seeds of each together: what was promised, what was reached, and the baselines. Pure."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from search_spaces.architecture import Architecture, Convolution
from search_spaces.cost import Cost
from search_spaces.errors import UserError
from trainers.bundle.trained import Trained
from trainers.data.fingerprint import summary_differences
from trainers.intervals import margin_of_accuracy, margin_of_difference, margin_of_mean, margin_of_mean_difference
from trainers.rank_correlation import RankCorrelation, rank_correlation

Kind = Literal["convolution", "attention", "hybrid"]


@dataclass(frozen=True)
class Network:
    """One architecture, trained by one recipe from one seed or several.

    `reached` are the accuracies of its seeds: on the test split, or on the validation split where some network that
    it is compared with has no test split. `told_apart_by` says in what it is another training than others of the same
    architecture, as "epochs 9", and is empty where there are none.
    """

    trained: tuple[Trained, ...]
    reached: tuple[float, ...]
    images: int
    told_apart_by: str = ""

    @property
    def label(self) -> str:
        return self.architecture.label + (f" ({self.told_apart_by})" if self.told_apart_by else "")

    @property
    def architecture(self) -> Architecture:
        return self.trained[0].bundle.architecture

    @property
    def kind(self) -> Kind:
        """What it is made of. A network of one operator throughout is a baseline, whatever its stem."""
        operators = {isinstance(block, Convolution) for blocks in self.architecture.stages for block in blocks}
        if len(operators) > 1:
            return "hybrid"
        return "convolution" if operators == {True} else "attention"

    @cached_property
    def cost(self) -> Cost:
        return self.trained[0].bundle.data_summary.cost(self.architecture)

    @property
    def promised(self) -> float | None:
        return self.trained[0].promised

    @property
    def accuracy(self) -> float:
        """The mean over its seeds."""
        return statistics.fmean(self.reached)

    @property
    def margin(self) -> float:
        """Half of a 95 % interval: of so many images, or over seeds where that is wider.

        All seeds see the same images, so that more of them make an accuracy no surer than the images do.
        """
        of_images = margin_of_accuracy(self.accuracy, self.images)
        return max(of_images, margin_of_mean(self.reached)) if len(self.reached) > 1 else of_images


@dataclass(frozen=True, slots=True)
class Beside:
    """A network beside a baseline: by how much it is more accurate, with a margin, and the ratio of their FLOPs."""

    network: Network
    baseline: Network
    points: float
    margin: float
    flops_ratio: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All networks by rising FLOPs, on which split they are compared, and what follows.

    `correlation` is that of what the search promised with what was reached, None where too few networks were promised
    anything. `notes` say what is not the same for all.
    """

    networks: tuple[Network, ...]
    split: Literal["test", "validation"]
    beside: tuple[Beside, ...]
    correlation: RankCorrelation | None
    notes: tuple[str, ...]


def compare(trained: Sequence[Trained]) -> Comparison:
    """Raises UserError where they were not trained on the same images, or one is named twice."""
    _check_same_images(trained)
    is_tested = all(each.result["test_accuracy"] is not None for each in trained)
    groups: dict[Any, list[Trained]] = {}
    for each in trained:
        groups.setdefault(_key(each), []).append(each)
    networks = _told_apart([_network(group, is_tested=is_tested) for group in groups.values()])
    networks.sort(key=lambda network: (network.cost.flops, -network.accuracy))
    baselines = [network for network in networks if network.kind != "hybrid"]
    beside = [_beside(network, other) for network in networks if network.kind == "hybrid" for other in baselines]
    promised = [(network.promised, network.accuracy) for network in networks if network.promised is not None]
    correlation = rank_correlation([one for one, _ in promised], [other for _, other in promised])
    notes = _notes(trained, networks)
    return Comparison(tuple(networks), "test" if is_tested else "validation", tuple(beside), correlation, notes)


def _key(trained: Trained) -> tuple[object, ...]:
    """Equal for the seeds of one network."""
    bundle, result = trained.bundle, trained.result
    recipe = json.dumps(bundle.recipe.to_json(), sort_keys=True)
    begun = result.get("initial_weights"), json.dumps(result.get("lengthened"))
    return bundle.architecture.id, bundle.data_summary.image_size, recipe, *begun


def _told_apart(networks: Sequence[Network]) -> list[Network]:
    """The same, those of one architecture by as few of their settings as tell each from each."""
    told = []
    for network in networks:
        alike = [other for other in networks if other.architecture.id == network.architecture.id]
        traits, chosen = [_traits(other) for other in alike], list[str]()
        for name in traits[0]:
            apart = len({tuple(each[kept] for kept in chosen) for each in traits})
            chosen += [name] if len({tuple(each[kept] for kept in (*chosen, name)) for each in traits}) > apart else []
        mine = _traits(network)
        told.append(replace(network, told_apart_by=", ".join(filter(None, (mine[name] for name in chosen)))))
    return told


def _traits(network: Network) -> dict[str, str]:
    """What trainings of one architecture differ in, in words, what is asked about first first."""
    first = network.trained[0]
    recipe, result = asdict(first.bundle.recipe), first.result
    lengthened = ", ".join(
        f"{each['after_epoch']} of {each['from_epochs']} epochs{f' and {step} steps' if (step := each['step']) else ''}"
        for each in result.get("lengthened", ())
    )
    fields = sorted(recipe, key=lambda name: name not in ("epochs", "optimizer", "learning_rate"))
    weights = result.get("initial_weights")
    return {
        "epochs": f"epochs {recipe['epochs']}",
        "image_size": f"{first.bundle.data_summary.image_size} px",
        "begun": f"from weights {weights[:8]}" if weights else "from scratch",
        "lengthened": f"made longer after {lengthened}" if lengthened else "",
        **{name: f"{name} {recipe[name]}" for name in fields if name != "epochs"},
    }


def _network(group: Sequence[Trained], *, is_tested: bool) -> Network:
    seen: dict[int, Trained] = {}
    for each in group:
        other = seen.setdefault(each.result["seed"], each)
        if other is not each:
            raise UserError(
                f"{other.directory!r} and {each.directory!r} are the same training, of seed {each.result['seed']}: "
                "expected each once, or another --seed."
            )
    summary = group[0].bundle.data_summary
    name, images = ("test", summary.test_images) if is_tested else ("val", summary.validation_images)
    in_order = tuple(seen[seed] for seed in sorted(seen))
    return Network(in_order, tuple(each.result[f"{name}_accuracy"] for each in in_order), images)


def _beside(network: Network, baseline: Network) -> Beside:
    margin = margin_of_difference(network.accuracy, baseline.accuracy, network.images)
    if len(network.reached) > 1 and len(baseline.reached) > 1:
        margin = max(margin, margin_of_mean_difference(network.reached, baseline.reached))
    points = network.accuracy - baseline.accuracy
    return Beside(network, baseline, points, margin, network.cost.flops / baseline.cost.flops)


def _check_same_images(trained: Sequence[Trained]) -> None:
    first = trained[0]
    for other in trained[1:]:
        names = [each.bundle.data_summary.name for each in (first, other)]
        if names[0] != names[1]:
            raise UserError(
                f"{first.directory!r} was trained on {names[0]} and {other.directory!r} on {names[1]}: expected "
                "trainings on the same images, on others accuracies say something else."
            )
        prints = [each.bundle.data_fingerprint for each in (first, other)]
        if prints[0] is not None and prints[1] is not None and prints[0] != prints[1]:
            differing = "; ".join(summary_differences(prints[0], prints[1])) or "their order differs"
            raise UserError(
                f"{first.directory!r} was trained before on other images than {other.directory!r} now: {differing}."
            )


def _notes(trained: Sequence[Trained], networks: Sequence[Network]) -> tuple[str, ...]:
    notes = []
    recipes = [asdict(each.bundle.recipe) for each in trained]
    for name in recipes[0]:
        values = list(dict.fromkeys(json.dumps(recipe[name]) for recipe in recipes))
        if len(values) > 1:
            notes.append(f"not the same recipe: {name} is {' and '.join(values)}")
    sizes = sorted({each.bundle.data_summary.image_size for each in trained})
    if len(sizes) > 1:
        notes.append(f"not the same images: {' and '.join(map(str, sizes))} pixels")
    if any(each.result.get("initial_weights") for each in trained):
        notes.append("some began with the weights of another training")
    if len({len(network.trained) for network in networks}) > 1:
        notes.append("not of as many seeds each")
    return tuple(notes)
