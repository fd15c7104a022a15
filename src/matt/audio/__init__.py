"""Audio files: what they are, blocks of mono samples, segments, and a hash without tags.

`inspect` describes a file, `read_segments` cuts it as a `SegmentPolicy` says, `read_cuts` in
several ways from one decode; `read_blocks` gives the whole stream, `audio_hash` names its audio
without tags. All failures are `AudioError`.
"""

from .backends import REMEDY as REMEDY
from .backends import quiet_decoders as quiet_decoders
from .containers import audio_hash as audio_hash
from .decoder import AudioFile as AudioFile
from .decoder import Damage as Damage
from .decoder import OnDamage as OnDamage
from .decoder import decoder_version as decoder_version
from .decoder import decoder_versions as decoder_versions
from .decoder import inspect as inspect
from .decoder import read_blocks as read_blocks
from .formats import EXTRA_SUFFIXES as EXTRA_SUFFIXES
from .formats import FORMATS as FORMATS
from .formats import SUFFIXES as SUFFIXES
from .formats import Format as Format
from .segments import Cut as Cut
from .segments import Segment as Segment
from .segments import SegmentPolicy as SegmentPolicy
from .segments import read_cuts as read_cuts
from .segments import read_segments as read_segments
from .structure import Completeness as Completeness
