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


def torch_build() -> dict[str, str]:
    """Version, CUDA and threads of torch, for people, or how to get it."""
    try:
        check_extra("training")
    except ConfigError as error:
        return {"version": f"none: {error}"}
    torch = import_module("torch")
    return {
        "version": str(torch.__version__),
        "CUDA": torch.version.cuda or "none (CPU build)",
        "CUDA devices": str(torch.cuda.device_count()),
        "threads": str(torch.get_num_threads()),
    }
