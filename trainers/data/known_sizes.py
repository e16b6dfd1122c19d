"""How many images the data sets have that always have the same, and what follows for their splits.

Imports no framework, so that a look at a data set is quick.
"""

from collections.abc import Sequence

from trainers.data.splits import split_validation, stratified_split

# scikit-learn's digits, 0 to 9.
DIGITS_OF_CLASS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
# Of the 1,797 digits a fifth are the test split, whatever the seed of the validation split.
DIGITS_TEST_FRACTION = 0.2
# So often each digit of the train, the validation and the test split is seen, every time in other clutter: in an epoch
# of a training, and in an evaluation.
COMPOSITIONS = (3, 4, 4)
CIFAR_CLASSES = {"cifar10": 10, "cifar100": 100}
CIFAR_TRAIN, CIFAR_TEST = 50_000, 10_000
# The images of ILSVRC 2012, and its classes, which are not of equal size.
IMAGENET_TRAIN, IMAGENET_TEST, IMAGENET_CLASSES = 1_281_167, 50_000, 1_000


def split_digits(
    labels: Sequence[int], validation_fraction: float, split_seed: int
) -> tuple[list[int], list[int], list[int]]:
    """The indices of the train, the validation and the test split of the digits, whose classes are `labels`."""
    rest, test = stratified_split(labels, DIGITS_TEST_FRACTION, "digits test")
    train, validation = split_validation([labels[index] for index in rest], validation_fraction, split_seed)
    return [rest[index] for index in train], [rest[index] for index in validation], test


def digits_sizes(validation_fraction: float, split_seed: int) -> tuple[int, int, int]:
    """The images of each split of the digits."""
    labels = [digit for digit, count in enumerate(DIGITS_OF_CLASS) for _ in range(count)]
    train, validation, test = split_digits(labels, validation_fraction, split_seed)
    return len(train), len(validation), len(test)


def cluttered_digits_sizes(validation_fraction: float, split_seed: int) -> tuple[int, int, int]:
    """The images of each split of the digits in clutter; of the train split, those of one epoch."""
    train, validation, test = digits_sizes(validation_fraction, split_seed)
    return COMPOSITIONS[0] * train, COMPOSITIONS[1] * validation, COMPOSITIONS[2] * test


def cifar_sizes(classes: int, validation_fraction: float) -> tuple[int, int, int]:
    """The images of each split of CIFAR-10 or CIFAR-100, whose classes are of equal size: stratified ones are exact."""
    validation = classes * round(validation_fraction * CIFAR_TRAIN / classes)
    return CIFAR_TRAIN - validation, validation, CIFAR_TEST


def imagenet_sizes(validation_fraction: float) -> tuple[int, int, int]:
    """The images of each split of ImageNet; what is set apart of each class, in whole images, shows a look at them."""
    validation = round(validation_fraction * IMAGENET_TRAIN)
    return IMAGENET_TRAIN - validation, validation, IMAGENET_TEST
