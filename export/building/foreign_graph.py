"""Another toolkit's network rewritten into the deployed form: uint8 pixels in, one descriptor out, any batch."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from calibration.onnx_graph import GraphLinks
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Input
from export.building.foreign_network import ForeignNetwork, sizes_of
from export.building.pixel_form import PixelForm

_LEAST_OPSET, _OPSET = 13, 17  # INT8 weights with a scale per channel need 13; TensorRT 8.5 reads up to 17
_PREFIX = "network/"
_OPTIONAL_OUTPUTS = ("MaxPool", "Dropout", "LayerNormalization", "BatchNormalization")


def deploy_foreign(network: ForeignNetwork, form: PixelForm, *, input_: Input, descriptor: str) -> onnx.ModelProto:
    """The network behind steps from bytes to what it wants, with any batch; steps that do nothing are folded.

    input_: names and size of the deployed input. descriptor: the name of the output.

    Raises:
        ExportError: it has steps that no tool of ours reads.
    """
    if network.takes_bytes and not np.allclose(form.of_bytes(), ([0, 0, 0], [1, 1, 1])):
        raise ExportError(f"{network.path} takes bytes, which are 0 to 255; give --input rgb-255 or bgr-255")
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    model = _convert(model, path=network.path)
    _hoist_constants(model)
    _open_batch(model, network)
    _keep_only(model, network.output)
    model = compose.add_prefix(model, _PREFIX)
    _put_in_front(model, network, form=form, input_=input_)
    _name_output(model, _PREFIX + network.output, descriptor=descriptor)
    model = _fold(model, path=network.path)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{number}"  # groups of layers are sets of names
    onnx.checker.check_model(model, full_check=True)
    return model


def length_of(model: onnx.ModelProto, *, path: Path) -> int:
    """The length of the descriptor of a deployed network. path: for messages.

    Raises:
        ExportError: the output is no descriptor.
    """
    dims = sizes_of(model.graph.output[0])
    if len(dims) != 2 or not dims[1]:
        raise ExportError(
            f"expected one row of numbers per image as the descriptor of {path}, found shape {tuple(dims)}; name "
            "another output with --descriptor"
        )
    return dims[1]


def _convert(model: onnx.ModelProto, *, path: Path) -> onnx.ModelProto:
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    others = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if others:
        raise ExportError(f"{path} has steps of {', '.join(others)}, which only one program runs; export plain ONNX")
    if version >= _LEAST_OPSET:
        return model
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, _OPSET)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or ["it gives no reason"])[0]
        raise ExportError(f"{path} has opset {version}, and cannot be brought to {_OPSET}: {reason}") from error
    return converted


def _hoist_constants(model: onnx.ModelProto) -> None:
    """Make weights that are nodes of the graph constants of the file, where other tools of ours look for them."""
    kept = []
    for node in model.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type != "Constant" or value is None:
            kept.append(node)
            continue
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _open_batch(model: onnx.ModelProto, network: ForeignNetwork) -> None:
    """Let any number of images come. Where a reshape names the exported batch, its first axis is copied instead."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value in model.graph.input:
        if value.name == network.input:
            first = 2 if network.channels_first else 1
            for axis, side in ((first, network.height_px), (first + 1, network.width_px)):
                value.type.tensor_type.shape.dim[axis].dim_value = side
    if network.batch is None:
        return
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute):
            continue
        sizes = numpy_helper.to_array(shape).copy()
        if len(sizes) and sizes[0] == network.batch:
            sizes[0] = 0
            name = f"{shape.name}/any_batch/{node.output[0]}"
            model.graph.initializer.append(numpy_helper.from_array(sizes, name))
            node.input[1] = name


def _keep_only(model: onnx.ModelProto, output: str) -> None:
    """Leave out what the descriptor does not depend on, such as a classifier."""
    links, needed, waiting = GraphLinks(model.graph), set(), [output]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in links.maker:
            waiting += links.maker[name].input
    nodes = [node for node in model.graph.node if needed.intersection(node.output)]
    for node in nodes:  # a max pool's places, a dropout's mask: TensorRT refuses them, read or not
        while len(node.output) > 1 and node.op_type in _OPTIONAL_OUTPUTS and node.output[-1] not in needed:
            node.output.pop()
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    named = {tensor.name for tensor in weights}
    inputs = [value for value in model.graph.input if value.name in needed and value.name not in named]
    outputs = [value for value in model.graph.output if value.name == output]
    for field, values in (("node", nodes), ("initializer", weights), ("input", inputs), ("output", outputs)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(copies)


def _put_in_front(model: onnx.ModelProto, network: ForeignNetwork, *, form: PixelForm, input_: Input) -> None:
    """Bytes -> floats -> the order of colours -> the order of axes -> mean and deviation -> the network's input."""
    first, last = input_.tensor, _PREFIX + network.input
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *inputs: str, **attributes: object) -> None:
        nodes.append(helper.make_node(kind, [nodes[-1].output[0] if nodes else first, *inputs], [f"in/{kind}"]))
        nodes[-1].attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())

    def constant(name: str, values: NDArray[np.generic]) -> str:
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    if not network.takes_bytes:
        add("Cast", to=TensorProto.FLOAT)
    if form.order == "bgr":
        add("Gather", constant("in/bgr", np.array([2, 1, 0], np.int64)), axis=3)
    if network.channels_first:
        add("Transpose", perm=[0, 3, 1, 2])
    shape = (1, 3, 1, 1) if network.channels_first else (1, 1, 1, 3)
    mean, deviation = (np.asarray(values, np.float32).reshape(shape) for values in form.of_bytes())
    if np.any(mean != 0):
        add("Sub", constant("in/mean", mean))
    if np.any(deviation != 1):
        add("Mul", constant("in/per_deviation", np.asarray(1 / deviation, np.float32)))
    if not nodes:
        add("Identity")
    nodes[-1].output[0] = last
    body = list(model.graph.node)
    pixels = ["batch", input_.height_px, input_.width_px, 3]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend([*nodes, *body])
    model.graph.input.append(helper.make_tensor_value_info(first, TensorProto.UINT8, pixels))


def _name_output(model: onnx.ModelProto, name: str, *, descriptor: str) -> None:
    """Flatten what is (N, D, 1, 1), and give the output its name."""
    rank = len(model.graph.output[0].type.tensor_type.shape.dim)
    step = ("Flatten", {"axis": 1}) if rank > 2 else ("Identity", {})
    model.graph.node.append(helper.make_node(step[0], [name], [descriptor], **step[1]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(descriptor, TensorProto.FLOAT, ["batch", None]))


def _fold(model: onnx.ModelProto, *, path: Path) -> onnx.ModelProto:
    """Fold constants and batch norms, and drop steps that do nothing, by ONNX Runtime's basic optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a class of its own per fault, most of them not public
            reason = (str(error).splitlines() or ["it gives no reason"])[0]
            raise ExportError(f"ONNX Runtime cannot run {path} with any number of images: {reason}") from error
        folded = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in folded.graph.node} | {""}
    imports = [entry for entry in folded.opset_import if entry.domain in used]
    kept = [helper.make_opsetid(entry.domain, entry.version) for entry in imports]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    length = _inferred_length(folded)
    folded.graph.output[0].CopyFrom(
        helper.make_tensor_value_info(folded.graph.output[0].name, TensorProto.FLOAT, ["batch", length])
    )
    return folded


def _inferred_length(model: onnx.ModelProto) -> int | None:
    """How many numbers a descriptor has: inferred, or else counted in the answer to one black image."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [pixels] = session.get_inputs()
    black = np.zeros([1, *pixels.shape[1:]], np.uint8)
    found: tuple[int, ...] = session.run(None, {pixels.name: black})[0].shape
    return found[1] if len(found) == 2 else None
