"""Pixels of files as people have them, against arithmetic on the values that were written."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from search_spaces.errors import UserError
from tests.support.images import folder_config, make_images
from trainers.data.datasets import check_data
from trainers.data.decoding import look_at, read_image
from trainers.pictures.image_formats import readable_suffixes

RGB_HW3 = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY_HW = RGB_HW3[:, :, 0]


def pixels(file: Path) -> NDArray[np.int64]:
    image = read_image(str(file))
    assert image.mode == "RGB"
    return np.asarray(image).astype(np.int64)


def saved(file: Path, values: NDArray[Any], mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(file, **options)
    return file


def three(values_HW: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(values_HW[:, :, None], 3, axis=2)


def refused(file: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_image(str(file))
    assert repr(str(file)) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "tga", "qoi"])
def test_eight_bit_colours_are_taken_as_they_stand(tmp_path: Path, suffix: str) -> None:
    file = saved(tmp_path / f"a.{suffix}", RGB_HW3)
    assert (pixels(file) == RGB_HW3).all() and look_at(str(file)).particulars == ()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_16_bit_grey_is_scaled_by_its_type_alone(tmp_path: Path, suffix: str) -> None:
    values_HW = np.random.default_rng(1).integers(8_000, 11_000, (5, 7)).astype(np.uint16)
    values_HW[0, :2] = 0, 65_535
    file = saved(tmp_path / f"a.{suffix}", values_HW)
    assert (pixels(file) == three(np.rint(values_HW / 257))).all()
    assert look_at(str(file)).particulars == ("16-bit grey, 0 to 65,535 as black to white",)
    values_HW[0, :2] = 9_000
    assert pixels(saved(file, values_HW)).max() <= round(11_000 / 257)


def test_big_endian_16_bit_grey(tmp_path: Path) -> None:
    values_HW = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1_800
    Image.frombytes("I;16B", (7, 5), values_HW.astype(">u2").tobytes()).save(tmp_path / "a.tif")
    assert (pixels(tmp_path / "a.tif") == three(np.rint(values_HW / 257))).all()


def tiff(file: Path, content: bytes, *, bits: int, white_is_zero: bool = False, sample_format: int = 1) -> Path:
    """A grey image of 7×5 pixels, its tags written one by one."""
    tags = [(256, 7), (257, 5), (258, bits), (259, 1), (262, int(not white_is_zero)), (273, 8), (277, 1), (278, 5)]
    tags += [(279, len(content)), (339, sample_format)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content += bytes(len(content) % 2)
    file.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory + bytes(4))
    return file


def test_12_bit_grey_is_scaled_by_12_bits(tmp_path: Path) -> None:
    values_HW = np.random.default_rng(3).integers(0, 4_096, (5, 7))
    rows = b""
    for row in values_HW:
        bits = "".join(f"{value:012b}" for value in row)
        rows += int(bits.ljust(88, "0"), 2).to_bytes(11, "big")
    file = tiff(tmp_path / "a.tif", rows, bits=12)
    assert (pixels(file) == three(np.rint(values_HW * (255 / 4_095)))).all()
    assert look_at(str(file)).particulars == ("12-bit grey, 0 to 4,095 as black to white",)


def test_where_white_is_zero_it_comes_out_white(tmp_path: Path) -> None:
    eight = tiff(tmp_path / "8.tif", GREY_HW.tobytes(), bits=8, white_is_zero=True)
    sixteen = tiff(tmp_path / "16.tif", (GREY_HW.astype("<u2") * 257).tobytes(), bits=16, white_is_zero=True)
    real = tiff(
        tmp_path / "f.tif", (GREY_HW / 255).astype("<f4").tobytes(), bits=32, white_is_zero=True, sample_format=3
    )
    for file in (eight, sixteen, real):
        assert (pixels(file) == three(255 - GREY_HW.astype(np.int64))).all()


def test_32_bit_integers_are_taken_for_16_bits_or_refused(tmp_path: Path) -> None:
    values_HW = np.arange(35, dtype=np.int32).reshape(5, 7) * 1_900
    file = saved(tmp_path / "a.tif", values_HW)
    assert (pixels(file) == three(np.rint(values_HW / 257))).all()
    for wrong, said in (
        (
            values_HW * 2,
            "its values are 0 to 129,200: expected 0 to 65,535; scale them to 0 to 65,535, by the same rule",
        ),
        (values_HW - 1, "its values are -1 to 64,599: expected 0 to 65,535"),
        (GREY_HW.astype(np.int32), "its 32-bit values are .* expected 16 bits, or a file of 8 bits; save such"),
    ):
        saved(file, wrong)
        with pytest.raises(UserError, match=said):
            read_image(str(file))


def test_unsigned_integers_of_32_bits_are_never_negative(tmp_path: Path) -> None:
    values_HW = np.arange(35, dtype="<u4").reshape(5, 7) * 1_900
    file = tiff(tmp_path / "a.tif", values_HW.tobytes(), bits=32)
    assert (pixels(file) == three(np.rint(values_HW / 257))).all()
    file = tiff(tmp_path / "b.tif", (values_HW + 2_155_905_152).tobytes(), bits=32)
    assert "its values are 2,155,905,152 to 2,155,969,752: expected 0 to 65,535; scale them to" in refused(file)
    file = tiff(tmp_path / "c.tif", (values_HW.astype("<i4") - 1).tobytes(), bits=32, sample_format=2)
    assert "its values are -1 to 64,599: expected 0 to 65,535" in refused(file)


@pytest.mark.parametrize(
    ("bits", "sample_format", "said"),
    [
        (64, 3, "1 × 64 bits a pixel, floating point"),
        (64, 6, "1 × 64 bits a pixel, complex"),
        (64, 1, "1 × 64 bits a pixel, whole numbers"),
        (48, 9, "1 × 48 bits a pixel, of no known meaning"),
    ],
)
def test_a_tiff_of_a_kind_that_is_not_read_is_not_called_damaged(
    tmp_path: Path, bits: int, sample_format: int, said: str
) -> None:
    file = tiff(tmp_path / "a.tif", bytes(35 * bits // 8), bits=bits, sample_format=sample_format)
    assert f"it is a TIFF of a kind that is not read here ({said}): save it with 8 bits a value" in refused(file)
    # Whose pixels end beyond it.
    content = bytearray(file.read_bytes())
    content[4:8] = (8).to_bytes(4, "little")
    file.write_bytes(content[:8] + content[-126:])
    assert "it is a TIFF that is cut off or damaged: copy or download it anew" in refused(file)
    file.write_bytes(content[:60])
    assert "it is a TIFF that is cut off or damaged: copy or download it anew" in refused(file)


def test_a_tiff_of_colours_in_floating_point_and_one_that_is_packed_in_an_unknown_way_are_not_read(
    tmp_path: Path,
) -> None:
    colours = saved(tmp_path / "a.tif", RGB_HW3).read_bytes()
    for tag, kind, value, said in (
        (339, 3, 3, "3 × 8 bits a pixel, floating point"),
        (259, 3, 50_002, "3 × 8 bits a pixel, whole numbers, compressed in way 50002"),
    ):
        changed = changed_tag(colours, tag, kind, value)
        (tmp_path / "b.tif").write_bytes(changed)
        assert f"it is a TIFF of a kind that is not read here ({said}): save" in refused(tmp_path / "b.tif")


def changed_tag(content: bytes, tag: int, kind: int, value: int) -> bytes:
    """A TIFF of which a tag has another value, or one that it need not have is that tag."""
    [offset] = struct.unpack_from("<I", content, 4)
    [count] = struct.unpack_from("<H", content, offset)
    entries = [struct.unpack_from("<HHI4s", content, offset + 2 + 12 * place) for place in range(count)]
    tags = {entry[0]: entry for entry in entries} | {tag: (tag, kind, 1, struct.pack("<HH", value, 0))}
    directory = b"".join(struct.pack("<HHI4s", *tags[each]) for each in sorted(tags))
    head = content[:4] + struct.pack("<I", len(content)) + content[8:]
    return head + struct.pack("<H", len(tags)) + directory + bytes(4)


@pytest.mark.parametrize("suffix", ["tif", "pfm"])
def test_floating_point_is_0_to_1_or_refused(tmp_path: Path, suffix: str) -> None:
    values_HW = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    file = saved(tmp_path / f"a.{suffix}", values_HW)
    assert (pixels(file) == three(np.rint(values_HW * 255.0))).all()
    for wrong_HW, said in (
        (values_HW * 255, "are 0 to 255: expected 0 to 1; divide them by 255, in all images."),
        (
            values_HW * 50_000,
            "expected 0 to 1; divide them by what stands for white (65,535 of 16 bits), in all images.",
        ),
        (values_HW * 1.5, "are 0 to 1.5: expected 0 to 1; scale them to 0 to 1, by the same rule in all images"),
        (values_HW - 0.5, "are -0.5 to 0.5: expected 0 to 1; scale them"),
    ):
        assert said in refused(saved(file, wrong_HW))
    for strange in (np.nan, np.inf):
        values_HW[2, 2] = strange
        said = "1 of its 35 values are not numbers (NaN) or are infinite: expected 0 to 1; give those pixels a value"
        assert said in refused(saved(file, values_HW))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_what_is_transparent_lies_over_white(tmp_path: Path, suffix: str) -> None:
    alpha_HW1 = np.linspace(0, 255, 35).astype(np.uint8).reshape(5, 7, 1)
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == "webp" else {}
    file = saved(tmp_path / f"a.{suffix}", np.concatenate([RGB_HW3, alpha_HW1], axis=2), **options)
    share = alpha_HW1 / 255
    expected = RGB_HW3 * share + 255 * (1 - share)
    assert abs(pixels(file) - expected).max() <= 1 and (pixels(file)[0, 0] == 255).all()
    assert look_at(str(file)).particulars == ("what is transparent as white",)


def test_grey_with_alpha_lies_over_white(tmp_path: Path) -> None:
    alpha_HW = np.linspace(0, 255, 35).astype(np.uint8).reshape(5, 7)
    bands = Image.merge("LA", (Image.fromarray(GREY_HW), Image.fromarray(alpha_HW)))
    bands.save(tmp_path / "a.png")
    expected = three(GREY_HW * (alpha_HW / 255) + 255 * (1 - alpha_HW / 255))
    assert abs(pixels(tmp_path / "a.png") - expected).max() <= 1


def test_palettes_give_their_colours_and_a_transparent_one_is_white(tmp_path: Path) -> None:
    index_HW = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
    image = Image.fromarray(index_HW).convert("L")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    for suffix in ("png", "gif"):
        image.save(tmp_path / f"a.{suffix}")
        assert (pixels(tmp_path / f"a.{suffix}") == colours[index_HW]).all()
        image.save(tmp_path / f"b.{suffix}", transparency=1)
        white = np.where(index_HW[:, :, None] == 1, 255, colours[index_HW])
        assert (pixels(tmp_path / f"b.{suffix}") == white).all()


def test_a_transparent_colour_of_grey_and_rgb_is_white(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY_HW)
    grey.save(tmp_path / "l.png", transparency=int(GREY_HW[1, 1]))
    assert (pixels(tmp_path / "l.png") == three(np.where(GREY_HW[1, 1] == GREY_HW, 255, GREY_HW))).all()
    Image.fromarray(RGB_HW3).save(tmp_path / "rgb.png", transparency=tuple(RGB_HW3[2, 3].tolist()))
    is_it = (RGB_HW3[2, 3] == RGB_HW3).all(axis=2, keepdims=True)
    assert (pixels(tmp_path / "rgb.png") == np.where(is_it, 255, RGB_HW3)).all()
    values_HW = GREY_HW.astype(np.uint16) * 200
    Image.fromarray(values_HW).save(tmp_path / "i16.png", transparency=int(values_HW[1, 1]))
    expected = np.where(values_HW == values_HW[1, 1], 255, np.rint(values_HW / 257))
    assert (pixels(tmp_path / "i16.png") == three(expected)).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits_HW = GREY_HW > 127
    for suffix in ("png", "tif", "pbm"):
        Image.fromarray(bits_HW).save(tmp_path / f"a.{suffix}")
        assert (pixels(tmp_path / f"a.{suffix}") == three(bits_HW * 255)).all()


def test_cmyk_is_light_less_ink(tmp_path: Path) -> None:
    cmyk_HW4 = np.random.default_rng(2).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    Image.frombytes("CMYK", (7, 5), cmyk_HW4.tobytes()).save(tmp_path / "a.tif")
    light = 1 - cmyk_HW4 / 255
    assert abs(pixels(tmp_path / "a.tif") - 255 * light[:, :, :3] * light[:, :, 3:]).max() <= 1
    assert look_at(str(tmp_path / "a.tif")).particulars == ("CMYK as RGB, whatever colour profile it brings",)


# What each EXIF orientation stands for: how the picture comes out of the stored one.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_as_its_orientation_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    file = saved(tmp_path / f"a.{suffix}", RGB_HW3, exif=exif, **options)
    assert (pixels(file) == UPRIGHT[orientation](RGB_HW3)).all()


def test_16_bit_grey_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = saved(tmp_path / "a.png", GREY_HW.astype(np.uint16) * 257, exif=exif)
    assert (pixels(file) == np.rot90(three(GREY_HW), -1)).all()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_data_leave_an_image_as_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 3):
        saved(file, three(np.full((5, 7), 90, dtype=np.uint8)), exif=exif)
        assert abs(pixels(file) - 90).max() <= 1


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_frames_the_first_is_taken_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.full((5, 7, 3), value, dtype=np.uint8)) for value in (40, 200, 90)]
    file = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(file, save_all=True, append_images=frames[1:], **options)
    assert (pixels(file) == 40).all()
    assert look_at(str(file)).particulars == ("the first of several frames or pages",)


def test_what_has_no_mapping_is_refused_by_name(tmp_path: Path) -> None:
    refused(tiff(tmp_path / "complex.tif", bytes(5 * 7 * 8), bits=64, sample_format=6))
    for name, content in (("empty.png", b""), ("text.jpg", b"no image"), ("cut.psd", b"8BPS\0\1" + bytes(30))):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name)


def test_a_file_under_another_name_is_opened_as_what_it_is_but_never_as_postscript(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", RGB_HW3, format="PNG")
    assert (pixels(tmp_path / "a.jpg") == RGB_HW3).all()
    saved(tmp_path / "b.png", RGB_HW3, format="EPS")
    assert "it is a PostScript file, a format that is not read here: convert it to" in refused(tmp_path / "b.png")


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_of_every_format_are_refused_in_one_line(tmp_path: Path) -> None:
    made = 0
    for suffix in sorted(readable_suffixes()):
        file = tmp_path / f"a{suffix}"
        try:
            Image.fromarray(RGB_HW3).resize((64, 64)).save(file)
        except (OSError, ValueError, KeyError):
            continue
        made += 1
        content = file.read_bytes()
        generator = np.random.default_rng(made)
        for end in (1, 10, len(content) // 2):
            file.write_bytes(content[:end])
            refused_or_read(file)
            noise = bytearray(content)
            for place in generator.integers(4, len(content), 20):
                noise[place] = int(generator.integers(256))
            file.write_bytes(noise)
            refused_or_read(file)
    assert made > 20


def refused_or_read(file: Path) -> None:
    try:
        read_image(str(file))
    except UserError as error:
        assert str(file) in str(error)


def test_suffixes_are_those_of_still_images_that_pillow_opens() -> None:
    images = ".jpg .jpeg .jfif .mpo .png .bmp .webp .ppm .pgm .tif .tiff .gif .jp2 .tga .psd"
    others = ".pdf .eps .ps .mpg .mpeg .h5 .hdf .wmf .grib .palm .fli"
    assert set(images.split()) <= readable_suffixes() and not set(others.split()) & readable_suffixes()


def test_16_bit_images_of_few_bits_are_refused_before_anything_starts(tmp_path: Path) -> None:
    for name, most in (("cat", 4_095), ("dog", 3_000)):
        (tmp_path / name).mkdir()
        for number in range(8):
            values_HW = np.random.default_rng(number).integers(0, most + 1, (16, 16)).astype(np.uint16)
            values_HW[0, 0] = most
            saved(tmp_path / name / f"{number}.png", values_HW)
    said = r"almost black, 4,095 at most \(in '.*cat/0\.png'\): expected values up to 65,535"
    with pytest.raises(UserError, match=said):
        check_data(folder_config(tmp_path))
    # One that is bright says nothing of the others.
    for name in ("cat", "dog"):
        saved(tmp_path / name / "0.png", np.full((16, 16), 60_000, dtype=np.uint16))
    with pytest.raises(
        UserError, match=r"7 of 8 images of class 'cat' .* are of 16 bits and almost black, 4,095 at most"
    ):
        check_data(folder_config(tmp_path))
    for number in range(8):
        saved(tmp_path / "cat" / f"{number}.png", np.full((16, 16), 60_000, dtype=np.uint16))
    with pytest.raises(UserError, match="7 of 8 images of class 'dog'"):
        check_data(folder_config(tmp_path))
    for number in range(4):
        saved(tmp_path / "dog" / f"{number}.png", np.full((16, 16), 4_096, dtype=np.uint16))
    assert check_data(folder_config(tmp_path)).classes == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (RGB_HW3.astype(np.uint16) * 16, "of 16 bits and almost black, 4,095 at most .* multiplied by 16"),
        (GREY_HW.astype(np.float32) / 255_000, "of floating point and almost black, 0.000.* at most .* values up to 1"),
        (RGB_HW3 // 16, "are almost black, 15 at most .* values up to 255"),
        (GREY_HW // 255, "are almost black, . at most"),
    ],
)
def test_images_of_any_kind_that_come_out_almost_black_are_refused(
    tmp_path: Path, values: NDArray[Any], said: str
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(8):
            if values.dtype == np.uint16:
                deep_colour_png(tmp_path / name / f"{number}.png", values)
            else:
                saved(tmp_path / name / f"{number}.tif", values)
    with pytest.raises(UserError, match=said):
        check_data(folder_config(tmp_path))


def test_a_class_of_8_bits_may_be_dark(tmp_path: Path) -> None:
    make_images(tmp_path, ("cat",))
    (tmp_path / "night").mkdir()
    for number in range(8):
        saved(tmp_path / "night" / f"{number}.png", RGB_HW3 // 16)
    assert check_data(folder_config(tmp_path)).classes == 2


def test_16_bit_colour_is_said_to_be(tmp_path: Path) -> None:
    deep_colour_png(tmp_path / "a.png", RGB_HW3.astype(np.uint16) * 257)
    look = look_at(str(tmp_path / "a.png"))
    assert look.particulars == ("16-bit colour, 0 to 65,535 as black to white",)
    assert (look.greatest, look.white) == (int(RGB_HW3.max()) * 256 + 255, 65_535)


def deep_colour_png(file: Path, values_HW3: NDArray[Any]) -> None:
    """A PNG of 7×5 pixels of three channels of 16 bits."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HW3)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    file.write_bytes(content)


def test_png_of_sixteen_bits_a_colour_keeps_its_upper_bits(tmp_path: Path) -> None:
    deep_colour_png(tmp_path / "a.png", RGB_HW3.astype(np.uint16) * 257)
    assert (pixels(tmp_path / "a.png") == RGB_HW3).all()
