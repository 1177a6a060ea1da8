"""The TensorRT versions that we promise to work with, and the names we use that only some of them have."""

import sys

PACKAGES = {
    **({"8.6": "tensorrt-bindings==8.6.1"} if sys.version_info < (3, 12) else {}),
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.16": "tensorrt-cu13-bindings==10.16.1.11",
    "11.4": "tensorrt-cu13-bindings==11.4.0.106",
}
"""The package of the bindings of each version, oldest first, as far as the running Python has them. JetPack 6.1 and 6.2
have 10.3. To promise another version, add its row here and run tests/test_tensorrt_names.py."""

ALWAYS = (0, 99)
FEATURES = {
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": (8, 9),
    "BuilderFlag.FP16": (8, 9),
    "BuilderFlag.INT8": (8, 9),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": (10, 99),
    "PreviewFeature.PROFILE_SHARING_0806": (8, 10),
    "IProgressMonitor": (10, 99),
    "IBuilderConfig.progress_monitor": (10, 99),
    "ICudaEngine.create_execution_context_without_device_memory": (8, 9),
    "ICudaEngine.device_memory_size": (8, 9),
    "ICudaEngine.device_memory_size_v2": (10, 99),
    "ExecutionContextAllocationStrategy": (10, 99),
    "ExecutionContextAllocationStrategy.USER_MANAGED": (10, 99),
    "IExecutionContext.set_device_memory": (10, 99),
}
"""Names that our code uses only where they are there: the first and the last major version that must have each."""


def must_have(version: str, name: str) -> bool:
    """Whether a version must have a name that our code uses."""
    first, last = FEATURES.get(name, ALWAYS)
    return first <= int(version.partition(".")[0]) <= last
