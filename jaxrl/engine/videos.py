"""Films of an episode: captions, GIFs by Pillow, and MP4s by PyAV where it is installed."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""[H, W, 3]."""

NO_PYAV = 'MP4 needs PyAV: pip install "jaxrl[video]"; a GIF needs nothing more.'
GIF_RATE = 30.0
"""Pictures per second of a GIF at most: viewers do not follow faster ones."""

_CAPTION_HEIGHT, _CAPTION_SIZE, _LEAST_WIDTH = 28, 13, 200


@dataclasses.dataclass(frozen=True)
class Film:
    """Pictures of one size, each drawn when it is asked for: together they can fill a memory."""

    frame: Callable[[int], Picture]
    """Number -> [H, W, 3]."""
    num_frames: int
    rate: float
    """Pictures per second."""

    def frames(self, stride: int = 1) -> Iterator[Picture]:
        """Every picture, or every `stride`-th one; the last is always among them."""
        return map(self.frame, sorted({*range(0, self.num_frames, stride), self.num_frames - 1}))


def captioned(picture: Picture, left: str, right: str) -> Picture:
    """`picture`, enlarged by a whole number where it is small, over a strip that says `left` and `right`."""
    from PIL import Image, ImageDraw, ImageFont

    times = -(-_LEAST_WIDTH // picture.shape[1])
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    height, width = picture.shape[:2]
    image = Image.new("RGB", (width, height + _CAPTION_HEIGHT), (255, 255, 255))
    image.paste(Image.fromarray(picture))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(_CAPTION_SIZE)
    middle = height + _CAPTION_HEIGHT / 2
    pen.text((10, middle), left, fill=(90, 98, 104), font=font, anchor="lm")
    pen.text((width - 10, middle), right, fill=(90, 98, 104), font=font, anchor="rm")
    return np.asarray(image)


def write_gif(path: Path, film: Film) -> int:
    """Write `film` for ever repeated, with as many pictures as a viewer can follow; returns how many."""
    from PIL import Image

    stride = max(1, math.ceil(film.rate / GIF_RATE))
    palette = _palette(film)
    pictures = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in film.frames(stride)
    ]
    # Delays are hundredths of a second: rounding the times and not the delays keeps the speed.
    times = np.round(np.arange(len(pictures) + 1) * stride / film.rate * 100).astype(int)
    delays = 10 * np.maximum(np.diff(times), 2)
    delays[-1] += 1000  # the end can be seen before it begins again
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=delays.tolist(), loop=0, optimize=False)
    return len(pictures)


def _palette(film: Film) -> Any:
    """256 colors for all pictures together, from a few of them: with palettes of their own, colors would flicker."""
    from PIL import Image

    frames = list(film.frames(max(1, film.num_frames // 8)))
    return Image.fromarray(np.concatenate(frames)).quantize(256)


def write_mp4(path: Path, film: Film) -> int:
    """Write `film` as H.264, which browsers show; returns how many pictures. ImportError where PyAV is missing."""
    try:
        import av
    except ImportError:
        raise ImportError(NO_PYAV) from None
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(film.rate).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "20"}
        for number, frame in enumerate(film.frames()):
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if number == 0:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return film.num_frames
