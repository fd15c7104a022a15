"""Real audio files for the tests, made by libsndfile, and the same files damaged on purpose."""

import numpy as np
import soundfile as sf

ENCODINGS = {
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".wav": ("WAV", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
}
SR = 24_000  # one that every encoder takes


def music(seconds, *, sr=SR, channels=2, seed=0):
    """Tones and noise, different in each channel, which no encoder makes small."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr))[:, None] / sr
    tones = 0.2 * np.sin(2 * np.pi * sr * np.linspace(0.011, 0.05, channels) * t)
    return (tones + 0.05 * rng.standard_normal(tones.shape)).astype(np.float32)


def write(path, samples, *, sr=SR, **options):
    """Write in the encoding that belongs to the suffix."""
    container, subtype = ENCODINGS[path.suffix]
    sf.write(path, samples, sr, **{"format": container, "subtype": subtype, **options})
    return path


def make(folder, suffix, seconds=3.0, **options):
    return write(folder / f"music{suffix}", music(seconds), **options)


def flip(path, position, size=1):
    """Invert bytes; a position below 1 is a share of the file."""
    content = bytearray(path.read_bytes())
    at = int(position * len(content)) if position < 1 else position
    content[at : at + size] = bytes(byte ^ 0xFF for byte in content[at : at + size])
    path.write_bytes(content)
    return path


def cut(path, keep):
    """Keep the beginning: a share, or all but so many bytes where negative."""
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep > 0 else keep])
    return path


def without_length(path):
    """Strip the first frame of an MP3, which holds its Xing or Info header."""
    content = path.read_bytes()
    assert b"Xing" in content[:64] or b"Info" in content[:64], (
        "libsndfile's MP3s state their length"
    )
    path.write_bytes(content[content.find(content[:2], 4) :])
    return path


# Kinds of files that PyAV writes: suffix, muxer, codec, format of the samples.
PYAV_ENCODINGS = {
    "aac": (".m4a", "ipod", "aac", "fltp"),
    "alac": (".m4a", "ipod", "alac", "s16p"),
    "alac24": (".m4a", "ipod", "alac", "s32p"),
    "adts": (".aac", "adts", "aac", "fltp"),
    "wma": (".wma", "asf", "wmav2", "fltp"),
    "wavpack": (".wv", "wv", "wavpack", "s16p"),
    "wavpack-float": (".wv", "wv", "wavpack", "fltp"),
    "wavpack-8": (".wv", "wv", "wavpack", "u8p"),
    "oggflac": (".oga", "ogg", "flac", "s16"),
    "matroska": (".mka", "matroska", "flac", "s16"),
}
STEP = {"u8p": 2.0**-7, "s16": 2.0**-15, "s16p": 2.0**-15, "s32p": 2.0**-23, "fltp": 0.0}


def tones(seconds, *, sr=SR, channels=2):
    """Tones alone, swelling, which a lossy encoder keeps; different in each channel."""
    t = np.arange(round(seconds * sr))[:, None] / sr
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 1.3 * t + 0.5)
    low, high = (np.linspace(at, at * 1.5, channels) for at in (0.02, 0.07))
    waves = np.sin(2 * np.pi * sr * low * t) + np.sin(2 * np.pi * sr * high * t)
    return (0.2 * swell * waves).astype(np.float32)


def quantised(samples, sample_format):
    """What a sample format keeps of samples, in its own numbers; 24 bits in those of 32."""
    if sample_format == "fltp":
        return samples
    step = STEP[sample_format]
    most = 1 / step
    numbers = np.clip(np.round(samples.astype(np.float64) / step), -most, most - 1)
    if sample_format == "u8p":
        return (numbers + 128).astype(np.uint8)
    return (numbers * 256).astype(np.int32) if step < 2.0**-20 else numbers.astype(np.int16)


def write_pyav(path, kind, samples, *, sr=SR, cover=False):
    """Write with the encoder of ffmpeg; ``cover``: as MP4, with a picture before the audio."""
    import av

    _, muxer, codec, sample_format = PYAV_ENCODINGS[kind]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    numbers = quantised(samples, sample_format)
    with av.open(str(path), "w", format="mp4" if cover else muxer) as container:
        if cover:
            picture = container.add_stream("mpeg4", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(codec, rate=sr, layout=layout)
        stream.codec_context.format = sample_format
        if codec in ("aac", "wmav2"):
            stream.codec_context.bit_rate = min(3 * sr, 96_000) * samples.shape[1]
        if cover:
            image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(image.reformat(format="yuvj420p")))
            container.mux(picture.encode(None))
        length = stream.codec_context.frame_size or 4096
        for start in range(0, len(numbers), length):
            piece = numbers[start : start + length]
            piece = piece.T if sample_format.endswith("p") else piece.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), format=sample_format, layout=layout
            )
            frame.sample_rate, frame.pts = sr, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_pyav(folder, kind, seconds=3.0, *, sr=SR, channels=2, cover=False):
    path = folder / f"{kind}{PYAV_ENCODINGS[kind][0]}"
    return write_pyav(path, kind, tones(seconds, sr=sr, channels=channels), sr=sr, cover=cover)
