"""Writes the images, sounds and clips of core/media/testdata and what they decode to."""

from pathlib import Path

import media_clips
import media_images

TESTDATA = Path(__file__).resolve().parents[2] / "core/media/testdata"


def main():
    TESTDATA.mkdir(exist_ok=True)
    media_images.make(TESTDATA)
    media_clips.make(TESTDATA)


if __name__ == "__main__":
    main()
