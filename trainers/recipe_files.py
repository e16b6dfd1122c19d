"""The recipes by name, for trials of a search and full trainings alike: `trainers/recipes/NAME.yaml`, or a file."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import field_kinds
from search_spaces.paths import user_path
from search_spaces.yaml_files import files_beside, read_mapping
from trainers.recipe import Recipe
from trainers.settings_files import found_instead

DIRECTORY = Path(__file__).resolve().parent / "recipes"

# By what a found network is trained fully on each data set, unless something else is asked for.
FULL_TRAINING_RECIPES = {
    "digits": "digits",
    "cluttered_digits": "cluttered_digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "image_folder": "image_folder",
    "tar_shards": "image_folder",
    "imagenet": "imagenet_paper",
}


def recipe_names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def named_recipe(name: str) -> Recipe:
    """A recipe that comes with the project, or of a YAML file. Raises UserError where it is none."""
    if name.endswith((".yaml", ".yml")):
        return _recipe_in(Path(user_path(name)))
    if name not in recipe_names():
        for file in (f"{name}.yaml", f"{name}.yml"):
            if Path(user_path(file)).is_file():
                raise UserError(f"recipe {name!r} is none of the project's: for the file of that name, recipe={file}.")
        raise unknown_name("recipe", name, [*recipe_names(), "a file ending in .yaml"], others=files_beside(name))
    return _known_recipe(name)


def full_training(data: str) -> Recipe:
    """The recipe of the full training on a data set, one of `DATA_DEFAULTS`."""
    return named_recipe(FULL_TRAINING_RECIPES[data])


@lru_cache(maxsize=64)
def _known_recipe(name: str) -> Recipe:
    return _recipe_in(DIRECTORY / f"{name}.yaml")


def _recipe_in(path: Path) -> Recipe:
    kinds, mapping = field_kinds(Recipe), read_mapping(path, f"recipe {str(path)!r}")
    if instead := found_instead(mapping, expected="recipe"):
        raise UserError(f"recipe {str(path)!r}: expected a recipe, and it holds {instead}.")
    numbers = {name: _number(value) for name, value in mapping.items() if kinds.get(name) is float}
    try:
        return Recipe.from_json(mapping | numbers)
    except UserError as error:
        raise UserError(f"{str(path)!r}: {error}") from None


def _number(value: Any) -> Any:
    """YAML 1.1, which PyYAML reads, takes 1e-3 for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
