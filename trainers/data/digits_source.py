"""scikit-learn's digits as they lie in its package, read without importing it.

Its import takes some two seconds of CPU, in a search and in each of its workers.
"""

import gzip
import hashlib
import importlib.util
from pathlib import Path

from search_spaces.errors import UserError
from trainers.data.fingerprint import DataFiles, DataFingerprint

FILE = "datasets/data/digits.csv.gz"
CLASSES = tuple("0123456789")


def digits_table() -> bytes:
    """A line for each of the digits: its 8×8 pixels, row by row, and its label, as numbers with commas between them.

    Raises UserError where scikit-learn is not installed.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError("the digits are scikit-learn's, which is not installed.")
    return gzip.decompress((Path(package.origin).parent / FILE).read_bytes())


def digits_fingerprint() -> DataFingerprint:
    """What the digits are known by: their pixels and labels, whatever is made of them.

    Raises UserError where scikit-learn is not installed.
    """
    content = digits_table()
    digest = f"whole:{hashlib.sha256(content).hexdigest()}"
    return DataFiles(CLASSES, ["digits.csv"], [len(content)], {"digits.csv": digest}).fingerprint()
