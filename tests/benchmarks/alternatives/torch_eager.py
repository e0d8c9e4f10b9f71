"""The same handler in torch eager: what one has who serves the network as it was trained.

The exported graph cannot be turned back into a torch module, so this is the network of the same shape with random
weights: the same work, other numbers. Tuned: inference mode, one thread, evaluation mode (no dropout).
"""

from __future__ import annotations

import itertools
import sys

import torch
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from inkling.models.bundle import Registry, load, zoo_directory
from inkling.models.bundle.schema import PoseInput
from inkling.models.networks import PoseConfig, Student, StudentConfig, pose_student
from tests.benchmarks.alternatives.common import BUNDLE, keypoints
from tests.benchmarks.alternatives.echo import SETTINGS

app = FastAPI()
spec = load(Registry([zoo_directory()]).get(BUNDLE)).spec
torch.set_num_threads(1)


def network() -> Student:
    """The network whose states have the bundle's shapes, whichever of the optional parts it was trained with."""
    assert isinstance(spec.input, PoseInput)
    wanted = [(tensor.input, tensor.shape) for tensor in spec.state]
    for config, poses in itertools.product(
        (StudentConfig(), StudentConfig(memories_s=())), (PoseConfig(), PoseConfig(spans_s=()))
    ):
        student = pose_student(config, spec.input.skeleton, spec.rate_hz, len(spec.labels), poses)
        if [(tensor.input, tensor.shape) for tensor in student.state_tensors()] == wanted:
            return student.eval()
    raise SystemExit(f"no network of inkling.models.networks has the states of {spec.full_name}")


student = network()


@app.websocket("/ws")
async def watch(websocket: WebSocket) -> None:
    await websocket.accept()
    state = student.initial_state(1)
    try:
        while True:
            message = await websocket.receive_bytes()
            with torch.inference_mode():
                logits, *following = student.step(torch.from_numpy(keypoints(message))[None], *state)
                probabilities = torch.softmax(logits, -1)
            state = tuple(following)
            await websocket.send_bytes(probabilities.numpy().tobytes())
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    print("serving", flush=True)
    uvicorn.run(app, port=int(sys.argv[1]), **SETTINGS)
