"""Speech from espeak-ng, the formant synthesizer in the package ``espeakng-loader``.

Called through the C interface of its shared library (speak_lib.h of espeak-ng 1.52).
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: return after the samples were delivered
_DO_NOT_EXIT = 0x8000  # of the options: report an error instead of ending the process
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_UTF8 = 1
_ENGLISH = "gmw"  # folder of the West Germanic languages
_MOST_SPEAKERS = 300  # espeak-ng lists at most 349 voices, languages included


@dataclass(frozen=True)
class Speaker:
    """A voice: an accent and the settings of the synthesizer that make it sound like somebody.

    Percentages are relative to the accent's own voice. They are those of a voice variant of
    espeak-ng (docs/voices.md there).

    Parameters
    ----------
    accent : str, language of espeak-ng, for example "en-us".
    formants : tuple of three tuples of int, frequency, strength and width of the formants 1 to 8,
        in per cent. The frequencies scale with the length of the vocal tract.
    pitch : tuple of int, lowest and highest fundamental frequency of a sentence in Hz.
    voicing, consonants : int, strength of voiced sounds and of unvoiced consonants in per cent.
    roughness : int, 0 to 7; creaking.
    flutter : int, wavering of the pitch; 2 is usual.
    """

    accent: str
    formants: tuple[tuple[int, int, int], ...]
    pitch: tuple[int, int]
    voicing: int
    consonants: int
    roughness: int
    flutter: int

    def variant(self) -> str:
        """The settings as the text of a voice variant file."""
        lines = ["language variant", f"pitch {self.pitch[0]} {self.pitch[1]}"]
        lines += [
            f"formant {number} {frequency} {strength} {width}"
            for number, (frequency, strength, width) in enumerate(self.formants, start=1)
        ]
        lines += [
            f"voicing {self.voicing}",
            f"consonants {self.consonants}",
            f"roughness {self.roughness}",
            f"flutter {self.flutter}",
        ]
        return "\n".join(lines) + "\n"


class Synthesizer:
    """A running espeak-ng that knows some speakers; use :func:`synthesizer` to get one."""

    def __init__(self, library: Path, data: Path, speakers: Sequence[Speaker]) -> None:
        self._voices = {speaker: _voice_name(n) for n, speaker in enumerate(speakers)}
        self._library = ctypes.CDLL(str(library))
        self._chunks: list[np.ndarray] = []
        callback_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        # the library keeps only the address, so the object must live as long as the library
        self._callback = callback_type(self._collect)
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, str(data).encode(), _DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng does not start with the data in {data}")
        self._library.espeak_SetSynthCallback(self._callback)
        # flutter and breath are random, seeded by the clock by default
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def _collect(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(
        self,
        word: str,
        speaker: Speaker,
        words_per_minute: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
    ) -> np.ndarray:
        """Samples of the spoken word, int16, at :attr:`sample_rate`.

        Parameters
        ----------
        word : str
        speaker : Speaker, one of those that the synthesizer was started with.
        words_per_minute : int, 80 to 450
        pitch : int, 0 to 100; base pitch; 50 is the speaker's own.
        pitch_range : int, 0 to 100; 0 is monotone, 50 the speaker's own.

        Raises
        ------
        ValueError : the speaker is not known, or the accent not to espeak-ng.
        RuntimeError : espeak-ng fails, or delivers nothing.
        """
        library = self._library
        if speaker not in self._voices:
            raise ValueError(f"the synthesizer was not started with the speaker {speaker}")
        name = f"{speaker.accent}+{self._voices[speaker]}"
        if library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no accent {speaker.accent!r}")
        library.espeak_SetParameter(_RATE, words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        library.espeak_SetParameter(_RANGE, pitch_range, 0)
        self._chunks.clear()
        text = word.encode()
        size = ctypes.c_size_t(len(text) + 1)
        status = library.espeak_Synth(text, size, 0, 0, 0, _UTF8, None, None)
        if status != 0 or not self._chunks:
            raise RuntimeError(f"espeak-ng produced no sound for {word!r} (status {status})")
        return np.concatenate(self._chunks)


@contextmanager
def synthesizer(speakers: Sequence[Speaker]) -> Iterator[Synthesizer]:
    """A freshly started espeak-ng, whose output depends only on what it is asked to say.

    espeak-ng keeps its state in global variables and carries some of it from one word to the
    next. A private copy of the library starts from the same state every time, whatever the
    process did before. The short path of that copy also keeps below the length at which espeak-ng
    cuts off the path of its data, and lets the speakers lie beside the data as voice variants. Of
    the languages it keeps English and its neighbors.

    Raises
    ------
    ValueError : more speakers than espeak-ng has room for.
    """
    import espeakng_loader

    if len(speakers) > _MOST_SPEAKERS:
        raise ValueError(f"{len(speakers)} speakers, expected at most {_MOST_SPEAKERS}")
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        library = Path(shutil.copy(espeakng_loader.get_library_path(), folder))
        data = Path(folder, "espeak-ng-data")
        data.mkdir()
        original = Path(espeakng_loader.get_data_path())
        for entry in original.iterdir():
            if entry.name not in ("voices", "lang"):
                (data / entry.name).symlink_to(entry)
        (data / "lang").mkdir()
        (data / "lang" / _ENGLISH).symlink_to(original / "lang" / _ENGLISH)
        variants = data / "voices" / "!v"
        variants.mkdir(parents=True)
        for number, speaker in enumerate(speakers):
            (variants / _voice_name(number)).write_text(speaker.variant())
        yield Synthesizer(library, data, speakers)


def _voice_name(number: int) -> str:
    return f"speaker{number}"
