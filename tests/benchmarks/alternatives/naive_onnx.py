"""What most would write first: a FastAPI WebSocket handler that steps each frame alone, the state a local variable.

Tuned: uvloop, the faster WebSocket implementation, no compression, binary in and out, one thread of onnxruntime without
spinning, and the step called in the loop, because on one core a thread only adds switching.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tests.benchmarks.alternatives.common import Model, keypoints
from tests.benchmarks.alternatives.echo import SETTINGS

app = FastAPI()
model = Model()


@app.websocket("/ws")
async def watch(websocket: WebSocket) -> None:
    await websocket.accept()
    state = model.initial()
    try:
        while True:
            message = await websocket.receive_bytes()
            probabilities, state = model.step(keypoints(message)[None], state)
            await websocket.send_bytes(probabilities.tobytes())
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    print("serving", flush=True)
    uvicorn.run(app, port=int(sys.argv[1]), **SETTINGS)
