"""A step with eight-bit matrix products: weights as int8 in blocks, activations rounded to int8 as they come.

Every row of a batch has scales of its own, so no row sees another, as a bundle must promise. That is why onnxruntime's
`quantize_dynamic` is not used: it takes one scale for the whole batch, and a stream's answers would depend on its
neighbours.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import onnx

BLOCK = 32
"""Weights of a column that share a scale."""
TOLERANCE = 0.5
"""Largest difference of a logit between a quantised step and the network; raw logits are of order 1 to 10."""


def quantised(step: bytes) -> onnx.ModelProto:
    """The same step with every product by a weight matrix in eight bits."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    model = onnx.load_model_from_string(step)
    del model.graph.value_info[:]  # of the matrices before they are turned round
    plain = ONNXModel(model)
    plain.replace_gemm_with_matmul()
    # accuracy_level 4: activations may be rounded to int8, by row
    quantiser = MatMulNBitsQuantizer(plain.model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4)
    with _quiet():
        quantiser.process()
    made: onnx.ModelProto = quantiser.model.model
    return made


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's line for each matrix."""
    logger = logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
