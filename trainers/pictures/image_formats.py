"""Which files are taken for images, by their names, and as which formats they may be opened."""

from functools import lru_cache

# What Pillow lists and is no still picture to be decoded by itself: stubs that only other software can fill, vector
# graphics, one of which starts Ghostscript, and video.
_NOT_STILL = frozenset(("BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "WMF"))
# Formats that Pillow registers even where it was built without what decodes them.
_NEEDS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
# The most common first: formats are tried in this order.
_COMMON = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# Suffixes of pictures that Pillow reads by itself in no version, or not in all: phones', cameras' raw files, drawings.
_PICTURES = frozenset(
    (
        ".heic", ".heif", ".hif", ".avif", ".jxl", ".jxr", ".wdp", ".hdp", ".webp", ".jp2", ".j2k", ".jpf", ".psb",
        ".svg", ".svgz", ".ai", ".eps", ".ps", ".cdr", ".wmf", ".emf", ".xcf", ".kra", ".exr", ".hdr", ".dcm", ".raw",
        ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef",
        ".ptx", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".erf", ".mef", ".mos", ".mrw", ".kdc", ".dcr", ".rwl",
    )
)  # fmt: skip


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """The formats in which the Pillow that is installed reads still images."""
    from PIL import Image, features

    Image.init()
    missing = {name for name, feature in _NEEDS.items() if not features.check(feature)}
    found = set(Image.OPEN) - _NOT_STILL - missing
    return (*(name for name in _COMMON if name in found), *sorted(found - set(_COMMON)))


@lru_cache(maxsize=1)
def readable_suffixes() -> frozenset[str]:
    """The suffixes of those formats, in lower case and with their dot."""
    from PIL import Image

    # MPO, several JPEGs in a file, is opened as JPEG.
    formats = {*readable_formats(), "MPO"}
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


@lru_cache(maxsize=1)
def unreadable_suffixes() -> frozenset[str]:
    """The suffixes of pictures that are not read, in lower case and with their dot."""
    return _PICTURES - readable_suffixes()


def suffix_of(name: str) -> str:
    """The suffix of a file's name with its dot, in lower case; "" where it has none."""
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() if stem else ""
