"""Quantisation of weights to 8 bits; activations remain in float32.

Quantised activations break speech encoders, because a few dimensions of their
hidden states have very large values. Quantised weights change the output about
as much as bf16 does.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

# Dimension of the output channels in a layer's weight, by operator
CHANNEL_AXIS = {"MatMul": -1, "Conv": 0, "ConvTranspose": 1}
MIN_SIZE = 4096  # elements; smaller weights are not quantised
# Name suffixes of the DFT and resampling kernels, which are not quantised
FIXED = (".analysis", ".kernel")


def quantise(model):
    """Replace large weights with int8 weights and a scale per output channel.

    Arguments
    ---------
    model : onnx.ModelProto
        The model, which is modified in place. A ``DequantizeLinear`` node
        restores each quantised weight.

    Example
    -------
    >>> text = "g (float[1, 64] x) => (float[1, 64] y) {y = MatMul(x, w)}"
    >>> graph = onnx.parser.parse_graph(text)
    >>> weight = np.ones((64, 64), dtype=np.float32)
    >>> graph.initializer.extend([numpy_helper.from_array(weight, "w")])
    >>> model = onnx.helper.make_model(graph)
    >>> quantise(model)
    >>> [node.op_type for node in model.graph.node]
    ['DequantizeLinear', 'MatMul']
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    axes = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            tensor = weights.get(name)
            if tensor is None or not _is_large(tensor):
                continue
            axis = CHANNEL_AXIS.get(node.op_type) if index == 1 else None
            if axis is not None:
                axis %= len(tensor.dims)
            # Do not quantise a weight whose uses have different channel axes.
            if axes.setdefault(name, axis) != axis:
                axes[name] = None
    nodes = []
    for name, axis in axes.items():
        if axis is not None:
            values, scale = _int8(numpy_helper.to_array(weights[name]), axis)
            graph.initializer.remove(weights[name])
            inputs = [f"{name}.int8", f"{name}.scale"]
            for array, label in zip((values, scale), inputs, strict=True):
                graph.initializer.append(numpy_helper.from_array(array, label))
            nodes.append(
                onnx.helper.make_node(
                    "DequantizeLinear", inputs, [name], axis=axis
                )
            )
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def _is_large(tensor):
    """Return whether a tensor is a weight that is large enough to quantise."""
    return (
        tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) > 1
        and math.prod(tensor.dims) >= MIN_SIZE
        and not tensor.name.endswith(FIXED)
    )


def _int8(weight, axis):
    """Return int8 values, and a scale for each index along an axis."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    scale = np.maximum(largest, 1e-12) / 127
    values = np.round(weight / scale).astype(np.int8)
    return values, scale.reshape(-1).astype(np.float32)
