"""The address of a storage, as `s3://BUCKET/PREFIX`, and what is wrong with one before anybody is asked there."""

import difflib
import importlib.util
import os
import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlsplit

from search_spaces.errors import UserError, unknown_name

EXPECTED = (
    "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or the address of another storage that fsspec opens (a directory that "
    "every machine sees is given by --runs-dir)"
)

# What may stand in the query of an address, as pyarrow has it. Secrets do not.
OPTIONS = {"s3": ("region", "scheme", "endpoint_override"), "gs": ("scheme", "endpoint_override")}
_OTHER_NAMES = {"s3a": "s3", "gcs": "gs"}
# What fsspec calls storages that are none here: of one machine, of one process, read-only, or a view of another.
_NO_STORAGES = (
    "file",
    "local",
    "memory",
    "http",
    "https",
    "data",
    "github",
    "git",
    "cached",
    "simplecache",
    "blockcache",
    "filecache",
)
_SECRET = re.compile(r"(?<=://)\S*(?=@)|^[^:/]*(?=@)")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def is_address(place: str) -> bool:
    """Whether a text is an address, and no path."""
    return "://" in place


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """An address: its scheme, the path below it (the bucket first), and what its query says.

    It holds no secret: those are in the environment, or wherever the storage's own programs look for them.
    """

    scheme: str
    path: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, text: str, name: str = "storage") -> "StorageAddress":
        """The address that a text is. Raises UserError, which calls it by `name` and shows no secret in it."""
        said = f"{name} is {_SECRET.sub('***', text)!r}"
        if not is_address(text):
            raise UserError(f"{said}: expected {EXPECTED}.")
        scheme, _, rest = text.partition("://")
        scheme = _OTHER_NAMES.get(scheme.lower(), scheme.lower())
        before, at, _ = rest.rpartition("@")
        # To some storages what stands before the "@" is no secret: the container of Azure's, the user of SFTP's.
        if at and (scheme in OPTIONS or ":" in before):
            raise UserError(
                f"{said}: expected an address without user and password, which would be kept; they are found in the "
                "environment."
            )
        _check_scheme(scheme, said, text)
        path, _, query = rest.partition("?")
        options = parse_qsl(query, keep_blank_values=True)
        for key, _ in options:
            if scheme not in OPTIONS or key not in OPTIONS[scheme]:
                raise unknown_name(f"option of the storage's address {name}", key, OPTIONS.get(scheme, ("none",)))
        server = dict(options).get("endpoint_override", "server")
        if not re.fullmatch(r"(\[[\da-fA-F:.]+\]|[\w.-]+)(:[1-9]\d{0,4})?", server, re.ASCII):
            raise UserError(f"{said}: expected HOST:PORT for endpoint_override, found {_SECRET.sub('***', server)!r}.")
        parts = path.rstrip("/").split("/")
        if not all(parts) or any(part in (".", "..") for part in parts):
            raise UserError(f"{said}: expected {EXPECTED}.")
        if refused := re.search(r"[\s#\x00-\x1f\\]", path):
            raise UserError(
                f"{said}, with a {refused[0]!r} in it: expected an address without white space, '#' and backslashes."
            )
        return cls(scheme, "/".join(parts), tuple(sorted(dict(options).items())))

    def __str__(self) -> str:
        query = "&".join(f"{key}={quote(value, safe=':/[]')}" for key, value in self.options)
        return f"{self.scheme}://{self.path}{f'?{query}' if query else ''}"

    @property
    def storage(self) -> "StorageAddress":
        """The storage that it is at: its bucket, or its server."""
        return replace(self, path=self.path.partition("/")[0])

    @property
    def parent(self) -> "StorageAddress":
        """What this one is in."""
        return replace(self, path=self.path.rpartition("/")[0])

    @property
    def name(self) -> str:
        """What it is called there."""
        return self.path.rpartition("/")[2]

    def inside(self, *names: str) -> "StorageAddress":
        """The address of what has these names below this one."""
        return replace(self, path="/".join((self.path, *names)))

    def is_same_place(self, other: "StorageAddress") -> bool:
        """Whether the other is the same place, perhaps reached otherwise."""
        return (self.scheme, self.path) == (other.scheme, other.path)

    def located(self) -> "StorageAddress":
        """The address with what the environment says of where an S3 storage is, for machines that lack that.

        Raises UserError where that is no address of a server.
        """
        if self.scheme != "s3":
            return self
        found = dict(self.options)
        endpoint = _first_of(_ENDPOINT_VARIABLES)
        if endpoint is not None and "endpoint_override" not in found:
            url = urlsplit(endpoint[1])
            if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
                raise UserError(f"{endpoint[0]} is {_SECRET.sub('***', endpoint[1])!r}: expected http://HOST:PORT.")
            found |= {"scheme": url.scheme, "endpoint_override": url.netloc}
        region = _first_of(_REGION_VARIABLES)
        if region is not None:
            found.setdefault("region", region[1])
        return replace(self, options=tuple(sorted(found.items())))


def _first_of(variables: tuple[str, ...]) -> tuple[str, str] | None:
    return next(((name, os.environ[name]) for name in variables if os.environ.get(name)), None)


def _check_scheme(scheme: str, said: str, text: str) -> None:
    """Raises UserError where no storage has this scheme, or what opens it is not installed."""
    if scheme in OPTIONS:
        return
    # Only for schemes that are not pyarrow's own.
    from fsspec.registry import known_implementations

    found = known_implementations.get(scheme)
    if found is None or scheme in _NO_STORAGES:
        near = difflib.get_close_matches(scheme, [*OPTIONS, *set(known_implementations) - set(_NO_STORAGES)], n=1)
        hint = f" Did you mean {near[0] + '://'!r}?" if near else ""
        raise UserError(f"{said}: expected {EXPECTED}.{hint}")
    module = str(found["class"]).partition(".")[0]
    if importlib.util.find_spec(module) is None:
        raise UserError(f"{said}: the Python package {module}, which opens it, is not installed: pip install {module}.")
