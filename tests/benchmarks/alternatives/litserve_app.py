"""LitServe with its own batching, over HTTP, the client carrying the state: it keeps nothing between requests.

Tuned: binary bodies in and out, its ZeroMQ queue between the two processes (`fast_queue`), one worker with one thread
of onnxruntime, and a batch that takes what is there: a wait for more (`batch_timeout`) of 1, 2 and 5 ms served less.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body, Response

from tests.benchmarks.alternatives.common import Array, Model, keypoints

MAX_BATCH, WAIT_S = 128, 0.0005


class Watch(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = Model()
        self.bytes = 4 * sum(self.model.sizes)

    def decode_request(self, request: Annotated[bytes, Body()]) -> tuple[Array, Array]:
        """A packed frame, then the state as float32."""
        state = request[-self.bytes :]
        return keypoints(request), np.frombuffer(state, np.float32)

    def batch(self, inputs: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
        return np.stack([x for x, _ in inputs]), np.stack([row for _, row in inputs])

    def predict(self, x: tuple[Array, Array]) -> Array:
        return self.model.step_rows(*x)

    def unbatch(self, output: Array) -> list[Array]:
        return list(output)

    def encode_response(self, output: Array) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


def main() -> None:
    api: Any = Watch(max_batch_size=MAX_BATCH, batch_timeout=WAIT_S, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=30)
    print("serving", flush=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
