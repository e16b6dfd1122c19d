"""What a file is that cannot be read as a picture, as far as its first bytes tell, and what to do about it. Pure."""

# So many of a file's first bytes are looked at.
FIRST_BYTES = 1024
_CONVERT = "convert it to JPEG or PNG"
_OTHER_FORMAT = f"a format that is not read here: {_CONVERT}"
_ANEW = "copy or download it anew"
_VIDEO = "a video, not a picture: save its frames as JPEG or PNG"
_ARCHIVE = "an archive, not a picture: unpack it"

_ZIP = b"PK\x03\x04"
_PACKED = (b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
# The pictures that are read here, by how their files begin.
_READABLE = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"), (b"8BPS", "Photoshop file"), (b"\0\0\0\x0cjP  ", "JPEG 2000 file"),
)  # fmt: skip
_OTHERS = (
    (b"\xff\x0a", f"a JPEG XL picture, {_OTHER_FORMAT}"),
    (b"\0\0\0\x0cJXL ", f"a JPEG XL picture, {_OTHER_FORMAT}"),
    (b"II\xbc\x01", f"a JPEG XR picture, {_OTHER_FORMAT}"),
    (b"FUJIFILM", f"a camera's raw picture, {_OTHER_FORMAT}"),
    (b"IIU\0", f"a camera's raw picture, {_OTHER_FORMAT}"),
    (b"IIRO", f"a camera's raw picture, {_OTHER_FORMAT}"),
    (b"MMOR", f"a camera's raw picture, {_OTHER_FORMAT}"),
    (b"FOVb", f"a camera's raw picture, {_OTHER_FORMAT}"),
    (b"gimp xcf", f"a GIMP file, {_OTHER_FORMAT}"),
    (b"v/1\x01", f"an OpenEXR picture, {_OTHER_FORMAT}"),
    (b"#?RADIANCE", f"a Radiance picture, {_OTHER_FORMAT}"),
    (b"%!PS", f"a PostScript file, {_OTHER_FORMAT}"),
    (b"\xc5\xd0\xd3\xc6", f"a PostScript file, {_OTHER_FORMAT}"),
    (b"\xd7\xcd\xc6\x9a", f"a Windows metafile, {_OTHER_FORMAT}"),
    (b"%PDF", "a PDF document, not a picture: save its pages as JPEG or PNG"),
    (b"\x89HDF", "an HDF5 file, not a picture: save its arrays as PNG"),
    (b"\x93NUMPY", "an array of NumPy, not a picture: save it as PNG"),
    (_ZIP, "a ZIP archive or an office document, not a picture: take the picture out of it"),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"\0\0\x01\xb3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"OggS", _VIDEO),
    (b"0&\xb2u\x8ef", _VIDEO),
    (b"version https://git-lfs", "a pointer of Git LFS, which stands for the picture: `git lfs pull` brings it"),
)  # fmt: skip
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")


def picture_format(start: bytes) -> str | None:
    """The format of a picture that is read here, by the first bytes of its file; None where it is another file."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    # Two letters may begin anything; a bitmap goes on with its size and four zeros.
    found = next((name for begins, name in _READABLE if start.startswith(begins)), None)
    return None if found == "BMP" and start[6:10] != bytes(4) else found


def is_compressed(start: bytes) -> bool:
    """Whether a file, or what is packed into it, is compressed, by its first bytes."""
    return start.startswith((_ZIP, *_PACKED))


def is_archive(start: bytes) -> bool:
    """Whether a file is one that others are packed into, by its first bytes."""
    return is_compressed(start) or start[257:262] == b"ustar"


def what_it_is(start: bytes) -> str:
    """What a file is that cannot be read, by its first bytes, and after a colon what to do about it."""
    if not start:
        return f"an empty file: {_ANEW}"
    if not start.strip(b"\0"):
        return f"a file of zeros, as an interrupted copy leaves it: {_ANEW}"
    if found := picture_format(start):
        article = "an" if found == "AVIF" else "a"
        return f"{article} {found} that is cut off or damaged: {_ANEW}"
    if start[4:8] == b"ftyp":
        return _of_brand(start[8:12])
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return _VIDEO
    if start[128:132] == b"DICM":
        return f"a DICOM file, {_OTHER_FORMAT}"
    if is_archive(start) and not start.startswith(_ZIP):
        return _ARCHIVE
    known = next((what for begins, what in _OTHERS if start.startswith(begins)), None)
    return known or _text(start) or f"no picture that is known by its first bytes: {_CONVERT}, or remove it"


def _of_brand(brand: bytes) -> str:
    """What an ISO base media file is."""
    if brand in _HEIF:
        return f"a HEIC or HEIF picture, {_OTHER_FORMAT}"
    return f"a camera's raw picture, {_OTHER_FORMAT}" if brand == b"crx " else _VIDEO


def _text(start: bytes) -> str | None:
    marked = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    # Whatever the encoding, what matters here is ASCII.
    text = start.decode("utf-16", "replace") if marked else start.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if any(char < " " and char not in "\t\n\r\f\x1b" for char in text) or 4 * sum(map(str.isascii, text)) < 3 * len(
        text
    ):
        return None
    lower = text.lstrip().lower()
    if "<svg" in lower and lower.startswith("<"):
        return f"an SVG drawing, {_OTHER_FORMAT}"
    if lower.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in lower:
        return "a web page (HTML), not a picture: download the picture itself"
    return "text, not a picture: remove it, or download the picture itself"
