"""Short sounds and clips, what librosa and PyAV make of them, and which frames transformers
takes."""

import io
import json
import struct

import av
import librosa
import numpy as np
import soundfile
from transformers.video_utils import VideoMetadata, default_sample_indices_fn

SECONDS = 0.1
# name -> (codec, rate, channels); the container is the name's ending
SOUNDS = {
    "sound_stereo.wav": ("pcm_s16le", 44100, 2),
    "sound_24.wav": ("pcm_s24le", 16000, 1),
    "sound_float.wav": ("pcm_f32le", 22050, 1),
    "sound_u8.wav": ("pcm_u8", 8000, 1),
    "sound.flac": ("flac", 48000, 2),
    "sound.ogg": ("vorbis", 44100, 2),
    "sound_opus.ogg": ("libopus", 48000, 1),
    "sound.mp3": ("libmp3lame", 44100, 2),
}
RATE = 16000  # resampled to
# name -> (container, codec, pixel format)
CLIPS = {
    "clip.mp4": ("mp4", "libx264", "yuv420p"),
    "clip.mov": ("mov", "mjpeg", "yuvj422p"),
    "clip.webm": ("webm", "libvpx-vp9", "yuv420p"),
    "clip_vp8.webm": ("webm", "libvpx", "yuv420p"),
    "clip.avi": ("avi", "mpeg4", "yuv420p"),
}
FRAMES, FPS, HEIGHT, WIDTH = 12, 8, 24, 32
TAKEN = [0, 4, 8]  # three of the twelve, evenly spread
# total frames, frames a second, what is asked for
SAMPLINGS = [
    (total, fps, ask)
    for total, fps in ((1, 30.0), (12, 8.0), (101, 29.97), (1000, 25.0))
    for ask in (
        {},
        {"num_frames": 1},
        {"num_frames": 7},
        {"num_frames": 8},
        {"fps": 2},
        {"fps": 0.5},
        {"fps": 7.3},
    )
    if ask.get("num_frames", 0) <= total
]


def make(folder):
    """Writes sounds and clips, sounds.json, clips.json and sampling.json."""
    write(folder / "sounds.json", sounds(folder))
    write(folder / "clips.json", clips(folder))
    write(folder / "sampling.json", samplings())


def write(path, expected):
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items()
    )
    path.write_text("{\n" + lines + "\n}\n")


def opened(out, container):
    """Without what differs from run to run: identifiers, times, versions."""
    return av.open(out, "w", format=container, options={"fflags": "+bitexact"})


def sounds(folder):
    """Of each its rate, its number of samples and, as little-endian floats in digits, those at
    RATE."""
    expected = {}
    for name, (codec, rate, channels) in SOUNDS.items():
        t = np.arange(int(SECONDS * rate)) / rate
        tones = [
            0.5 * np.sin(2 * np.pi * (300 + 200 * c) * t) * np.hanning(t.size)
            for c in range(channels)
        ]
        planes = np.stack(tones).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(
            planes, format="fltp", layout="stereo" if channels == 2 else "mono"
        )
        sound.sample_rate = rate
        if codec == "vorbis":  # PyAV has no real encoder of it
            soundfile.write(folder / name, planes.T, rate, format="OGG", subtype="VORBIS")
            (folder / name).write_bytes(with_serial((folder / name).read_bytes()))
        else:
            with opened(folder / name, name.split(".")[1]) as file:
                stream = file.add_stream(codec, rate=rate, layout=sound.layout)
                for packet in [*stream.encode(sound), *stream.encode()]:
                    file.mux(packet)
        stored, _ = librosa.load(folder / name, sr=None)
        wanted, _ = librosa.load(folder / name, sr=RATE)
        samples = wanted.astype("<f4").tobytes().hex()
        expected[name] = {"rate": rate, "samples": stored.size, "at_16000": samples}
    return expected


def with_serial(ogg):
    """With 1 for the random number that names the stream, and the checksums of pages that this
    needs."""
    out = b""
    while ogg:
        segments = 27 + ogg[26]
        n = segments + sum(ogg[27:segments])
        page = ogg[:14] + struct.pack("<I", 1) + ogg[18:22] + bytes(4) + ogg[26:n]
        out += page[:22] + struct.pack("<I", ogg_checksum(page)) + page[26:]
        ogg = ogg[n:]
    return out


def ogg_checksum(page):
    sum_ = 0
    for byte in page:
        sum_ ^= byte << 24
        for _ in range(8):
            sum_ = (sum_ << 1 ^ (0x04C11DB7 if sum_ >> 31 else 0)) & 0xFFFFFFFF
    return sum_


def clips(folder):
    """Of each some frames as PyAV gives them."""
    expected = {}
    for name, (container, codec, pixels) in CLIPS.items():
        out = io.BytesIO()
        with opened(out, container) as file:
            stream = file.add_stream(codec, rate=FPS)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
            stream.codec_context.thread_count = 1
            stream.bit_rate = 400000
            for i in range(FRAMES):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame(i), format="rgb24")))
            file.mux(stream.encode())
        (folder / name).write_bytes(out.getvalue())
        with av.open(io.BytesIO(out.getvalue())) as file:
            frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
        assert len(frames) == FRAMES, (name, len(frames))
        some = np.stack([frames[i] for i in TAKEN])
        expected[name] = {
            "frames": FRAMES,
            "fps": FPS,
            "taken": TAKEN,
            "height": HEIGHT,
            "width": WIDTH,
        }
        expected[name]["rgb"] = some.tobytes().hex()
    return expected


def frame(i):
    """Large soft shapes that move, so that codecs and conversions change little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    shift = 2 * np.pi * i / FRAMES
    planes = [
        127 + 100 * np.sin(2 * np.pi * (x / WIDTH + y / HEIGHT) / 2 + shift + c) for c in range(3)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def samplings():
    """Which frames transformers takes, by a name that says of what."""
    expected = {}
    for total, fps, ask in SAMPLINGS:
        metadata = VideoMetadata(total_num_frames=total, fps=fps)
        taken = default_sample_indices_fn(metadata, **ask)
        name = f"{total} frames at {fps}: {ask}"
        expected[name] = {"total": total, "clip_fps": fps, **ask, "indices": taken.tolist()}
    return expected
