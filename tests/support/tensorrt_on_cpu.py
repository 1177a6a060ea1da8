"""A `tensorrt` module of ours that runs one network on the CPU: a descriptor is the mean of each colour of a crop.

It has what the engine asks of TensorRT 10, and notes in the driver's log (see cuda_on_cpu) when its objects go.
"""

import ctypes
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.engine.tensorrt.batch_buckets import batch_buckets
from tests.support.tiny_network import HEIGHT_PX, LENGTH, WIDTH_PX

PIXELS, DESCRIPTOR = "pixels", "descriptor"


@dataclass
class Plan:
    """What stands in the plan: batch sizes, and whether it has one profile for each."""

    sizes: tuple[int, int, int] = (1, 2, 4)
    has_profiles: bool = True
    runs: list[int] = field(default_factory=list)
    """The batch of every run that was started or recorded."""
    recorded: "dict[int, Context]" = field(default_factory=dict)
    breaks_recording: bool = False
    callback: Any = None

    def profiles(self) -> list[tuple[int, int, int]]:
        smallest, best, largest = self.sizes
        if not self.has_profiles:
            return [self.sizes]
        return [(size, size, size) for size in batch_buckets(smallest=smallest, best=best, largest=largest)]


class Context:
    """Runs one batch size of one profile."""

    def __init__(self, plan: Plan, driver: ctypes.CDLL) -> None:
        self._plan, self._driver, self._profile = plan, driver, 0
        self._addresses: dict[str, int] = {}
        self._count = 0

    def set_device_memory(self, address: int, size_bytes: int) -> None:
        assert address

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._profile = index
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._plan.profiles()[self._profile]
        self._count = shape[0]
        return smallest <= shape[0] <= largest

    def execute_async_v3(self, stream: int) -> bool:
        self._plan.runs.append(self._count)
        if number := self._driver.is_recording():
            self._plan.recorded[number] = self
            return not self._plan.breaks_recording
        self.compute()
        return True

    def compute(self) -> None:
        count = self._count
        pixels = (ctypes.c_ubyte * (count * HEIGHT_PX * WIDTH_PX * 3)).from_address(self._addresses[PIXELS])
        found = (ctypes.c_float * (count * LENGTH)).from_address(self._addresses[DESCRIPTOR])
        rows = np.ctypeslib.as_array(found).reshape(count, LENGTH)
        rows[:] = 0
        rows[:, :3] = 1 + np.ctypeslib.as_array(pixels).reshape(count, -1, 3).mean(axis=1)

    def __del__(self) -> None:
        self._driver.note(b"context-gone")


class FixedContext:
    """Gives the same outputs whatever it sees, plus the mean of its first input."""

    def __init__(self, engine: "FixedEngine", driver: ctypes.CDLL) -> None:
        self._engine, self._driver = engine, driver
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if number := self._driver.is_recording():
            self._engine.plan.recorded[number] = self
        else:
            self.compute()
        return True

    def compute(self) -> None:
        images = self._engine.view("images", self._addresses["images"])
        for name, output in self._engine.plan.outputs.items():
            self._engine.view(name, self._addresses[name])[:] = output + images.mean()

    def __del__(self) -> None:
        self._driver.note(b"context-gone")


@dataclass
class FixedPlan:
    """A plan with images of fixed size as its only input. outputs: by name, of one image, with its axis."""

    shape: tuple[int, ...]
    outputs: dict[str, NDArray[np.float32]]
    recorded: dict[int, FixedContext] = field(default_factory=dict)
    callback: Any = None


class FixedEngine:
    """The deserialized plan."""

    def __init__(self, plan: FixedPlan, driver: ctypes.CDLL) -> None:
        self.plan, self._driver = plan, driver
        self._shapes = {"images": plan.shape} | {name: output.shape for name, output in plan.outputs.items()}
        self.num_io_tensors = len(self._shapes)

    def view(self, name: str, address: int) -> NDArray[np.float32]:
        count = int(np.prod(self._shapes[name]))
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(self._shapes[name])

    def get_tensor_name(self, index: int) -> str:
        return list(self._shapes)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "images" else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name="FLOAT")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def create_execution_context(self) -> FixedContext:
        return FixedContext(self, self._driver)


class CpuEngine:
    """The deserialized plan."""

    num_io_tensors, device_memory_size_v2 = 2, 1024

    def __init__(self, plan: Plan, driver: ctypes.CDLL) -> None:
        self.plan, self._driver = plan, driver
        self.num_optimization_profiles = len(plan.profiles())

    def get_tensor_name(self, index: int) -> str:
        return (PIXELS, DESCRIPTOR)[index]

    def get_tensor_mode(self, name: str) -> str:
        return {PIXELS: "in", DESCRIPTOR: "out"}[name]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name={PIXELS: "UINT8", DESCRIPTOR: "FLOAT"}[name])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {PIXELS: (-1, HEIGHT_PX, WIDTH_PX, 3), DESCRIPTOR: (-1, LENGTH)}[name]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(size, HEIGHT_PX, WIDTH_PX, 3) for size in self.plan.profiles()[index]]

    def create_execution_context(self, strategy: object) -> Context:
        return Context(self.plan, self._driver)

    def __del__(self) -> None:
        self._driver.note(b"engine-gone")


def tensorrt_module(plan: Plan | FixedPlan, driver: ctypes.CDLL) -> Any:
    """The module; `import tensorrt` finds it when it is in `sys.modules`."""
    # ctypes frees a callback with the object that wraps it: the plan keeps it.
    plan.callback = ctypes.CFUNCTYPE(None, ctypes.c_long)(lambda number: plan.recorded[number].compute())
    driver.when_launched(plan.callback)
    log = type("ILogger", (), {"Severity": SimpleNamespace(WARNING=1, VERBOSE=2, INTERNAL_ERROR=3, ERROR=4)})
    engine: Any = CpuEngine if isinstance(plan, Plan) else FixedEngine
    return SimpleNamespace(
        __version__="10.3.0",
        ILogger=log,
        TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED=1),
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda data: engine(plan, driver)),
    )
