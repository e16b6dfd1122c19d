"""By what the images of each data set are normalised. Imports no torch: it is kept with every bundle."""

DIGITS_MEAN, DIGITS_STD = (0.305,), (0.318,)
CLUTTERED_MEAN, CLUTTERED_STD = (0.125,), (0.285,)
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CIFAR100_MEAN, CIFAR100_STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
# ImageNet's channel statistics, by which all folders are normalised.
FOLDER_MEAN, FOLDER_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Each channel's mean and standard deviation, of values in 0 to 1.
NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": (DIGITS_MEAN, DIGITS_STD),
    "cluttered_digits": (CLUTTERED_MEAN, CLUTTERED_STD),
    "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
    "cifar100": (CIFAR100_MEAN, CIFAR100_STD),
    "image_folder": (FOLDER_MEAN, FOLDER_STD),
    "tar_shards": (FOLDER_MEAN, FOLDER_STD),
    "imagenet": (FOLDER_MEAN, FOLDER_STD),
}
