from .bags import Bags as Bags
from .errors import ArgumentError as ArgumentError
from .errors import AudioError as AudioError
from .errors import ConfigError as ConfigError
from .errors import DataError as DataError
from .errors import MattError as MattError
from .features.spec import FeatureSpec as FeatureSpec
from .features.store import FeatureStore as FeatureStore
from .models.baselines import BaselineClassifier as BaselineClassifier
from .models.blend import BlendClassifier as BlendClassifier
from .models.classifier import GenreClassifier as GenreClassifier
from .models.flat import BagClassifier as BagClassifier
from .models.neural import NeuralClassifier as NeuralClassifier
from .predictions import Predictions as Predictions
from .tracks import Tracks as Tracks

__version__: str
