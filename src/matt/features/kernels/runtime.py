"""onnxruntime, which runs graphs of networks: opened alike wherever one is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ConfigError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OLDEST = (1, 20)  # pyproject.toml has the same


def import_runtime() -> Any:
    """Import onnxruntime.

    Raises
    ------
    ConfigError
        If it is missing, broken or too old.
    """
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"onnxruntime is needed, and cannot be imported ({error}); "
            "pip install --force-reinstall onnxruntime"
        ) from error
    version = str(getattr(onnxruntime, "__version__", "0"))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise ConfigError(
            f"onnxruntime {version} is too old, {wanted} or newer is needed; "
            "pip install --upgrade onnxruntime"
        )
    return onnxruntime


def open_session(graph: bytes, *, threads: int = 0) -> InferenceSession:
    """Make a graph ready to run on the CPU.

    Parameters
    ----------
    graph : bytes
        Trusted, or checked before.
    threads : int
        0: one a core.

    Raises
    ------
    ConfigError
        As `import_runtime`.
    """
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4  # what matters is raised
    # Threads that wait in a loop take the cores from whatever else runs here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
