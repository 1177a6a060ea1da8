"""Groups of layers, found in graphs."""

import onnx
import pytest
from onnx import helper

from calibration.layer_groups import LAYER_GROUPS, find_layer_groups
from calibration.rewrites.mean_pools import replace_mean_pool_nodes
from tests.support.tiny_network import tiny_graph


def test_every_group_is_found_without_layer_names() -> None:
    """What a node is called does not count, only what it does and what it is connected to."""
    model = replace_mean_pool_nodes(tiny_graph())
    before = find_layer_groups(model)
    renamed = {node.name: f"node {index}" for index, node in enumerate(model.graph.node)}
    for node in model.graph.node:
        node.name = renamed[node.name]
    assert find_layer_groups(model) == {
        group: tuple(renamed[name] for name in names) for group, names in before.items()
    }
    gate = [f"{stream}_{part}" for stream in "ab" for part in ("pool", "sigmoid", "multiply")]
    assert set(before["gates"]) == {*gate, "gate_a", "gate_b"}
    assert before["sums"] == ("stream_sum",)
    assert before["residuals"] == ("residual_add", "block_relu")
    assert before["stem"] == ("stem", "stem_relu")
    assert before["pointwise"] == ("a", "a_relu", "b", "b_relu", "expand", "last")
    assert before["transitions"] == ("mean_pool",)
    assert before["descriptor"] == ("final_pool", "fc")


def test_no_node_is_in_two_groups() -> None:
    """Otherwise the costs of groups would not add up."""
    names = [name for members in find_layer_groups(tiny_graph()).values() for name in members]
    assert len(names) == len(set(names))


def test_a_sigmoid_behind_no_global_pool_is_no_gate() -> None:
    """A spatial attention map would otherwise take everything before it along."""
    model = tiny_graph()
    for node in model.graph.node:
        if node.name == "gate_a":
            node.input[0] = "a_relu"
    groups = find_layer_groups(model)
    assert "a_pool" not in groups["gates"]
    assert "a" in groups["pointwise"]
    assert "b_pool" in groups["gates"]


def test_streams_that_share_one_gate_are_split_and_summed() -> None:
    """In the aligned graph one product holds all streams; the sum of its parts is still a sum of gated streams."""
    model = tiny_graph()
    nodes = {node.name: node for node in model.graph.node}
    nodes["stream_sum"].input[:] = ["half_1", "half_2"]
    split = helper.make_node("Split", ["a_gated"], ["half_1", "half_2"], name="split", axis=1)
    model.graph.node.insert(list(model.graph.node).index(nodes["stream_sum"]), split)
    assert find_layer_groups(model)["sums"] == ("stream_sum",)


@pytest.mark.parametrize(("kernel", "groups", "group"), [(3, 1, "spatial"), (3, 8, "depthwise"), (1, 1, "pointwise")])
def test_convolutions_are_told_by_their_weights(kernel: int, groups: int, group: str) -> None:
    """Kernel and grouping decide, as they decide which kernel of a backend runs."""
    model = tiny_graph()
    last = next(node for node in model.graph.node if node.name == "last")
    last.attribute.append(helper.make_attribute("group", groups))
    for tensor in model.graph.initializer:
        if tensor.name == "last_w":
            tensor.CopyFrom(_zeros("last_w", 8, 8 // groups, kernel))
    assert "last" in find_layer_groups(model)[group]


def test_the_groups_are_the_documented_ones() -> None:
    """Files that name groups are read years later."""
    assert LAYER_GROUPS == (
        "stem",
        "pointwise",
        "depthwise",
        "spatial",
        "gates",
        "sums",
        "residuals",
        "transitions",
        "descriptor",
        "heads",
    )


def _zeros(name: str, out: int, inputs: int, kernel: int) -> onnx.TensorProto:
    shape = (out, inputs, kernel, kernel)
    size = out * inputs * kernel * kernel
    return helper.make_tensor(name, onnx.TensorProto.FLOAT, shape, [0.0] * size)
