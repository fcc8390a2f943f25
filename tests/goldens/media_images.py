"""Small images of every kind that core/media reads, and what Pillow makes of them."""

import io
import itertools
import json
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's colour types
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def make(folder):
    """Writes the images and images.json: of each its size and pixels as digits."""
    rng = np.random.default_rng(20261130)
    files = {}
    for part in (pngs, jpegs, webps, gifs):
        files.update(part(rng))
    expected = {}
    for name, data in sorted(files.items()):
        (folder / name).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        expected[name] = {
            "height": image.height,
            "width": image.width,
            "rgb": image.tobytes().hex(),
        }
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items()
    )
    (folder / "images.json").write_text("{\n" + lines + "\n}\n")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, color, depth, interlaced=False, before=b"", after=b""):
    """A PNG of samples [height, width, channels]; Pillow writes only some kinds."""
    height, width, _ = samples.shape

    def rows(part):
        if depth == 16:
            packed = part.astype(">u2").reshape(part.shape[0], -1).view(np.uint8)
        else:
            bits = np.unpackbits(part.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
            packed = np.packbits(bits.reshape(part.shape[0], -1), axis=-1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    data = b"".join(rows(part) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(data))
        + after
        + chunk(b"IEND", b"")
    )


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def pngs(rng):
    files = {}
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    kinds = [(color, depth) for color in depths for depth in depths[color]]
    for (color, depth), interlaced in itertools.product(kinds, (False, True)):
        samples = rng.integers(0, 2**depth, (9, 11, CHANNELS[color]))
        palette = chunk(b"PLTE", rng.bytes(3 * 2**depth)) if color == 3 else b""
        name = f"png_{color}_{depth}{'_interlaced' if interlaced else ''}.png"
        files[name] = png(samples, color, depth, interlaced, palette)
    # 16 bit grey with values that fit 8 bits, which Pillow keeps.
    files["png_grey16_low.png"] = png(rng.integers(0, 400, (5, 7, 1)), 0, 16)
    colors = chunk(b"PLTE", rng.bytes(3 * 16))
    files["png_palette_transparent.png"] = png(
        rng.integers(0, 16, (6, 5, 1)),
        3,
        8,
        before=colors + chunk(b"tRNS", bytes(range(0, 160, 10))),
    )
    files["png_palette_short.png"] = png(rng.integers(0, 40, (6, 5, 1)), 3, 8, before=colors)
    grey, color = rng.integers(0, 4, (6, 5, 1)), rng.integers(0, 4, (6, 5, 3))
    files["png_grey_transparent.png"] = png(grey, 0, 8, before=chunk(b"tRNS", struct.pack(">H", 2)))
    files["png_rgb_transparent.png"] = png(
        color, 2, 8, before=chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    )
    files["png_gamma.png"] = png(color * 60, 2, 8, before=chunk(b"gAMA", struct.pack(">I", 100000)))
    turned = chunk(b"eXIf", exif(6)[6:])
    files["png_exif.png"] = png(color, 2, 8, before=turned)
    files["png_exif_late.png"] = png(color, 2, 8, after=turned)
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + (XMP % 8).encode()
    files["png_xmp.png"] = png(color, 2, 8, before=chunk(b"iTXt", text))
    raw = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n      38\n" + exif(3).hex().encode() + b"\n"
    )
    files["png_raw_exif.png"] = png(color, 2, 8, before=chunk(b"zTXt", raw))
    return files


def picture(rng, height, width, channels):
    """Smooth with some noise, as photographs are."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    wave = (
        127
        + 90 * np.sin(y / 5 + c) * np.cos(x / 7 - 2 * c)
        + rng.normal(0, 6, (height, width, channels))
    )
    return np.clip(wave, 0, 255).astype(np.uint8)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpegs(rng):
    files = {}
    rgb = Image.fromarray(picture(rng, 23, 37, 3))
    for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
        files[f"jpeg_{name}.jpg"] = saved(rgb, "JPEG", subsampling=sampling)
        files[f"jpeg_{name}_progressive.jpg"] = saved(
            rgb, "JPEG", subsampling=sampling, progressive=True
        )
    files["jpeg_restart.jpg"] = saved(rgb, "JPEG", restart_marker_blocks=2)
    files["jpeg_rgb.jpg"] = saved(rgb, "JPEG", keep_rgb=True)
    files["jpeg_grey.jpg"] = saved(rgb.convert("L"), "JPEG")
    cmyk = saved(Image.fromarray(picture(rng, 17, 19, 4), "CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"\xff\xee")
    files["jpeg_cmyk.jpg"] = cmyk
    # Pillow writes no YCCK: the same numbers, read as one.
    files["jpeg_ycck.jpg"] = cmyk[: adobe + 15] + b"\2" + cmyk[adobe + 16 :]
    files["jpeg_cmyk_no_adobe.jpg"] = cmyk[:adobe] + cmyk[adobe + 16 :]
    files["jpeg_no_end.jpg"] = files["jpeg_420.jpg"] + b"trailing"
    small = rgb.crop((0, 0, 11, 6))
    for orientation in range(1, 9):
        files[f"jpeg_exif_{orientation}.jpg"] = saved(small, "JPEG", exif=exif(orientation))
    big_endian = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\5\0\0\0\0\0\0"
    files["jpeg_exif_big_endian.jpg"] = saved(small, "JPEG", exif=big_endian)
    files["jpeg_exif_none.jpg"] = saved(small, "JPEG", exif=exif(9))
    files["jpeg_xmp.jpg"] = saved(small, "JPEG", xmp=(XMP % 6).encode())
    return files


def webps(rng):
    rgb = Image.fromarray(picture(rng, 15, 21, 3))
    rgba = Image.fromarray(picture(rng, 15, 21, 4), "RGBA")
    clear = np.asarray(rgba).copy()
    clear[::2, ::3, 3] = 0
    clear = Image.fromarray(clear, "RGBA")
    return {
        "webp_lossy.webp": saved(rgb, "WEBP", quality=80),
        "webp_lossless.webp": saved(rgb, "WEBP", lossless=True),
        "webp_alpha.webp": saved(rgba, "WEBP", quality=80),
        "webp_alpha_lossless.webp": saved(clear, "WEBP", lossless=True, exact=True),
        "webp_animated.webp": saved(
            clear,
            "WEBP",
            save_all=True,
            append_images=[rgba, rgba.rotate(180)],
            lossless=True,
            duration=40,
        ),
        "webp_exif.webp": saved(rgb, "WEBP", lossless=True, exif=exif(5)),
        "webp_xmp.webp": saved(rgb, "WEBP", lossless=True, xmp=(XMP % 3).encode()),
    }


def lzw(indices, bits):
    """GIF's compression, uncompressed: a clear code before the codes would grow."""
    size, clear = bits + 1, 1 << bits
    codes, stream, n = [], 0, 0
    for i, index in enumerate(indices):
        if i % (clear - 2) == 0:
            codes.append(clear)
        codes.append(int(index))
    for code in codes + [clear + 1]:
        stream |= code << n
        n += size
    data = stream.to_bytes((n + 7) // 8, "little")
    blocks = b"".join(
        bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)
    )
    return bytes([bits]) + blocks + b"\0"


def gif(screen, box, indices, colors=b"", local=b"", transparent=None, interlaced=False):
    """A GIF of one frame; `colors` and `local` are palettes of 2, 4 ... 256 entries."""

    def flags(palette):
        return 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, flags(colors), 1, 0) + colors
    if transparent is not None:
        out += b"!\xf9\4" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    out += b"," + struct.pack("<HHHHB", *box, flags(local) | (0x40 if interlaced else 0)) + local
    return out + lzw(indices, 4) + b";"


def gifs(rng):
    rgb = Image.fromarray(picture(rng, 15, 21, 3))
    indices = rng.integers(0, 16, 6 * 9)
    colors, local = rng.bytes(3 * 16), rng.bytes(3 * 16)
    whole = (0, 0, 9, 6)
    files = {
        "gif_plain.gif": saved(rgb.quantize(32), "GIF"),
        "gif_grey.gif": saved(rgb.convert("L"), "GIF"),
        "gif_animated.gif": saved(
            rgb, "GIF", save_all=True, append_images=[rgb.rotate(180)], duration=50
        ),
        "gif_global.gif": gif((9, 6), whole, indices, colors),
        "gif_local.gif": gif((9, 6), whole, indices, colors, local),
        "gif_interlaced.gif": gif((9, 6), whole, indices, colors, interlaced=True),
        "gif_transparent.gif": gif((9, 6), whole, indices, colors, transparent=3),
        "gif_inside.gif": gif((14, 10), (2, 3, 9, 6), indices, colors),
        "gif_inside_transparent.gif": gif((14, 10), (2, 3, 9, 6), indices, colors, transparent=5),
        "gif_outside.gif": gif((9, 6), (2, 3, 9, 6), indices, colors),
        "gif_no_palette.gif": gif((9, 6), whole, indices),
        "gif_short_palette.gif": gif((9, 6), whole, indices, colors[:24]),
    }
    return files
