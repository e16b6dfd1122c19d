"""scikit-learn's digits as they lie in its package, read without importing it: a look at a data set is quick."""

import gzip
import hashlib
import importlib.util
from pathlib import Path

from search_spaces.errors import UserError
from trainers.data.fingerprint import DataFiles, DataFingerprint

FILE = "datasets/data/digits.csv.gz"
CLASSES = tuple("0123456789")


def digits_fingerprint() -> DataFingerprint:
    """What the digits are known by: their pixels and labels, whatever is made of them.

    Raises UserError where scikit-learn is not installed.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError("the digits are scikit-learn's, which is not installed.")
    content = gzip.decompress((Path(package.origin).parent / FILE).read_bytes())
    digest = f"whole:{hashlib.sha256(content).hexdigest()}"
    return DataFiles(CLASSES, ["digits.csv"], [len(content)], {"digits.csv": digest}).fingerprint()
