"""Files that are no picture to be read: what each is, and what to do about it, as a user is told."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainers.data.test_decoding import deep_colour_png
from trainers.pictures.network_input import input_of_bytes
from trainers.pictures.opening import opened
from trainers.pictures.rgb import UnreadablePicture, rgb_image

RULE = {"channels": 3, "size": 8, "resize_shorter_side": 8, "mean": [0, 0, 0], "std": [1, 1, 1]}


def written(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "x")
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def media(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(200)


CONVERT = "a format that is not read here: convert it to JPEG or PNG"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file: copy or download it anew"),
        (bytes(5_000), "a file of zeros, as an interrupted copy leaves it: copy"),
        (
            b"<!DOCTYPE html>\n<html><body>404</body></html>",
            r"a web page \(HTML\), not a picture: download the picture",
        ),
        (b"\xef\xbb\xbf  <HTML lang=de>", r"a web page \(HTML\)"),
        ("Über den Bären".encode(), "text, not a picture: remove it, or download"),
        ("Über den Bären, und was er im Winter tut".encode("latin-1"), "text, not a picture"),
        ("words".encode("utf-16"), "text, not a picture"),
        (b'{"error": "no access"}', "text, not a picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS, .*: `git lfs pull`"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', f"an SVG drawing, {CONVERT}"),
        (media(b"heic"), f"a HEIC or HEIF picture, {CONVERT}"),
        (media(b"mif1"), f"a HEIC or HEIF picture, {CONVERT}"),
        (media(b"crx "), f"a camera's raw picture, {CONVERT}"),
        (media(b"isom"), "a video, not a picture: save its frames"),
        (b"RIFF\0\1\0\0AVI LIST" + bytes(90), "a video, not a picture"),
        (b"\x1aE\xdf\xa3" + bytes(90), "a video, not a picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), f"a JPEG XL picture, {CONVERT}"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document, not a picture: save its pages"),
        (zipped(), "a ZIP archive or an office document, not a picture: take"),
        (gzip.compress(b"x" * 90, mtime=0), "an archive, not a picture: unpack it"),
        (tarred(), "an archive, not a picture: unpack it"),
        (bytes(128) + b"DICM" + bytes(90), f"a DICOM file, {CONVERT}"),
        (np.random.default_rng(7).bytes(500), "no picture that is known by its first bytes: convert it"),
        (written("PNG")[:20], "a PNG that is cut off or damaged: copy or download it anew"),
        (written("PNG")[:300], r"a PNG that is cut off or damaged: copy or download it anew \(.*\)"),
        (written("JPEG")[:400], r"a JPEG that is cut off or damaged: copy or download it anew \(.*\)"),
        (written("WEBP")[:100], "a WebP that is cut off or damaged: copy or download it anew"),
    ],
)
def test_a_file_is_said_to_be_what_its_first_bytes_tell(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    for source in (str(tmp_path / "a.jpg"), io.BytesIO(content)):
        with pytest.raises(UnreadablePicture, match=f"^it is {said}") as caught:
            opened(source, rgb_image)
        # Whoever shows it names the file.
        assert str(tmp_path) not in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_said_to_be_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match=r"^No such file or directory$"):
        opened(str(tmp_path / "gone.png"), rgb_image)
    with pytest.raises(UnreadablePicture, match=r"^Is a directory$"):
        opened(str(tmp_path), rgb_image)


@pytest.mark.filterwarnings("error")
def test_what_is_too_large_is_said_with_its_size_and_the_limit(tmp_path: Path) -> None:
    """By its header alone: such a file may be small."""
    (tmp_path / "a.png").write_bytes(png_header(20_000, 20_000))
    said = "^it has 400,000,000 pixels, more than the 178,956,970 that are read: scale it down, or remove it$"
    with pytest.raises(UnreadablePicture, match=said):
        opened(str(tmp_path / "a.png"), rgb_image)
    with pytest.raises(UnreadablePicture, match="cut off or damaged"):
        opened(io.BytesIO(png_header(10_000, 10_000)), rgb_image)


def png_header(width: int, height: int) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    check = zlib.crc32(b"IHDR" + header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + len(header).to_bytes(4, "big") + b"IHDR" + header + check + bytes(4) + b"IDAT"


def grey_of_12_bits(file: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 4_096, (9, 9)).astype(np.uint16)).save(file)


def colour_of_12_bits(file: Path) -> None:
    deep_colour_png(file, np.full((5, 7, 3), 4_000, dtype=np.uint16))


@pytest.mark.parametrize("make", [grey_of_12_bits, colour_of_12_bits])
def test_a_picture_by_itself_is_refused_where_training_refuses_a_class_of_such(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "a.png")
    said = r"^it is of 16 bits and almost black, 4,\d+ at most: expected values up to 65,535; .* multiplied by 16$"
    with pytest.raises(UnreadablePicture, match=said):
        input_of_bytes((tmp_path / "a.png").read_bytes(), RULE)


def test_a_dark_picture_of_8_bits_is_a_picture_of_the_night(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (3, 2, 1)).save(tmp_path / "a.png")
    assert input_of_bytes((tmp_path / "a.png").read_bytes(), RULE).shape == (3, 8, 8)
