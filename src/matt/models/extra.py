"""What only training needs: torch, and onnx, which writes networks down."""

from __future__ import annotations

from importlib import import_module

from ..errors import ConfigError

REMEDY = 'pip install "matt-mgc[train]"'


def check_extra(what: str) -> None:
    """Refuse what cannot be done without torch.

    Parameters
    ----------
    what : str
        Who needs it, for the message.

    Raises
    ------
    ConfigError
        If it, or onnx, is not installed or cannot be imported.
    """
    for name in ("torch", "onnx"):
        try:
            import_module(name)
        except (ImportError, OSError) as error:
            why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"({error})"
            raise ConfigError(f"{what} needs {name}, which {why}: {REMEDY}") from error
