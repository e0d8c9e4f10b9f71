"""Ray Serve with its own batching, over WebSockets: of what it offers, this served most.

Tuned: frames come over a WebSocket and the handler holds the state, which served about four times as much as requests
in which the client carries it; binary in and out, `serve.batch` that waits half a millisecond, one replica with one
thread of onnxruntime, no dashboard, no access log, and no lower priority than everything else on the machine has.
"""

import logging
import os
import sys
import time
from typing import Any

import numpy as np
import ray
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from ray import serve

from tests.benchmarks.alternatives.common import Array, Model, keypoints

MAX_BATCH, WAIT_S = 128, 0.0005
app = FastAPI()


class _Watch:
    def __init__(self) -> None:
        self.model = Model()
        self.size = sum(self.model.sizes)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=WAIT_S)
    async def step(self, frames: list[tuple[bytes, Array]]) -> list[Array]:
        x = np.stack([keypoints(message) for message, _ in frames])
        return list(self.model.step_rows(x, np.stack([row for _, row in frames])))

    @app.websocket("/ws")
    async def watch(self, websocket: WebSocket) -> None:
        await websocket.accept()
        row = np.zeros(self.size, np.float32)
        try:
            while True:
                found = await self.step((await websocket.receive_bytes(), row))
                row = found[: self.size]
                await websocket.send_bytes(found[self.size :].tobytes())
        except WebSocketDisconnect:
            pass


Watch: Any = serve.deployment(num_replicas=1, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})(
    serve.ingress(app)(_Watch)
)


def main() -> None:
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so it is spelt
    quiet = {"log_level": "ERROR", "enable_access_log": False}
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=quiet)
    serve.run(Watch.options(logging_config=quiet).bind(), route_prefix="/")
    print("serving", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
