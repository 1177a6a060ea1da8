"""The calls of TensorRT's builder that differ between the versions 8.5 to 11.

What a version can do is found by looking for the name, never by its number: see tests/test_tensorrt_names.py. The calls
that differ when an engine runs are in edge_runtime/engine/tensorrt/library.py.
"""

from typing import Any

from edge_runtime.engine.tensorrt.library import is_strongly_typed, profile_sharing, tensorrt_log

OPTIMISATION_LEVEL = 3
"""How long TensorRT searches, 0 to 5; 3 is its own default, 5 takes several times as long. 8.5 has no such setting."""


def network_flags(trt: Any) -> int:
    """The flags that a network is created with: it follows the ONNX file's types where the version can do that."""
    flag = trt.NetworkDefinitionCreationFlag
    return 1 << int(flag.STRONGLY_TYPED if is_strongly_typed(trt) else flag.EXPLICIT_BATCH)


def create_parser(trt: Any, network: Any) -> Any:
    """A parser that fills `network`. It owns the weights, so it must outlive the build."""
    parser = trt.OnnxParser(network, tensorrt_log())
    # Without this flag 8.6 runs instance norms in a plug-in library that may be missing.
    if hasattr(getattr(trt, "OnnxParserFlag", None), "NATIVE_INSTANCENORM"):
        parser.set_flag(trt.OnnxParserFlag.NATIVE_INSTANCENORM)
    return parser


def create_config(trt: Any, builder: Any, *, workspace_mib: int, optimisation_level: int) -> Any:
    """The settings of a build, without the precisions. Progress is shown where the version reports it."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    if hasattr(config, "builder_optimization_level"):  # 8.6 and later
        config.builder_optimization_level = optimisation_level
    sources = config.get_tactic_sources()
    for name in ("CUBLAS", "CUBLAS_LT", "CUDNN"):  # up to 10.x; with them 8.x looks for libraries that may be missing
        if hasattr(trt.TacticSource, name):
            sources &= ~(1 << int(getattr(trt.TacticSource, name)))
    config.set_tactic_sources(sources)
    show_progress(trt, config)
    return config


def allow_precisions(trt: Any, config: Any, *, half: bool, int8: bool) -> None:
    """Allow the precisions that the file holds, where the builder has to be told: before TensorRT 10."""
    if is_strongly_typed(trt):
        return
    if half or int8:  # with INT8, what is left in float runs in half precision
        config.set_flag(trt.BuilderFlag.FP16)
    if int8:
        config.set_flag(trt.BuilderFlag.INT8)


def allow_profile_sharing(trt: Any, config: Any) -> None:
    """Let several contexts of the engine use one profile, where that is a feature to ask for: in 8.6."""
    feature = profile_sharing(trt)
    if feature is not None and not is_strongly_typed(trt):
        config.set_preview_feature(feature, True)


def show_progress(trt: Any, config: Any) -> None:
    """Show a progress bar per top-level phase of the build, where the version reports it: TensorRT 10 and later."""
    if not hasattr(trt, "IProgressMonitor"):
        return
    from tqdm import tqdm

    base: Any = trt.IProgressMonitor

    class Bars(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self._bars: dict[str, tqdm[Any]] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:  # noqa: PLR0917 - TensorRT calls it
            if parent is None:
                self._bars[name] = tqdm(total=steps, desc=name, leave=False, disable=None)

        def step_complete(self, name: str, step: int) -> bool:
            if name in self._bars:
                self._bars[name].update()
            return True

        def phase_finish(self, name: str) -> None:
            if name in self._bars:
                self._bars.pop(name).close()

    config.progress_monitor = Bars()
