"""What most would write first for a camera: MediaPipe's pose landmarker in a loop, then the same step of the model.

    PYTHON mediapipe_loop.py POSE.task STEP.onnx ABOUT.json SECONDS DIRECTORY...

Run by a Python that has mediapipe, onnxruntime, OpenCV and numpy; nothing of Inkling is imported. Tuned: a landmarker
for each camera in video mode, which follows the one person that it found, as its documentation advises; one thread of
onnxruntime without spinning. ABOUT.json: `input`, `logits`, `state` ([input, output, shape, initial] each) and `joints`
(the landmark of each of the model's joints). The last line is JSON: frames, those with a person, seconds by the clock
and on the processor.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import mediapipe
import numpy as np
import onnxruntime
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import PoseLandmarker, PoseLandmarkerOptions, RunningMode

RATE_HZ = 15.0
WARM = 5
"""Frames of each camera before the clock starts."""


class Camera:
    """One camera: its landmarker, and the state of the one person."""

    def __init__(self, task: str, session: Any, about: dict[str, Any], films: Path) -> None:
        base = BaseOptions(model_asset_path=task)
        options = PoseLandmarkerOptions(base_options=base, running_mode=RunningMode.VIDEO)
        self._landmarker = PoseLandmarker.create_from_options(options)
        self._session, self._about = session, about
        self._files = [np.frombuffer(path.read_bytes(), np.uint8) for path in sorted(films.iterdir())]
        self._seen = 0
        self._state = self._initial()
        self._outputs = [about["logits"], *(output for _, output, _, _ in about["state"])]

    def frame(self) -> bool:
        """Decode the next picture, look for somebody, step; whether somebody was there."""
        picture = cv2.imdecode(self._files[self._seen % len(self._files)], cv2.IMREAD_COLOR_RGB)
        assert picture is not None
        at_ms = round(1000 * self._seen / RATE_HZ)
        self._seen += 1
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
        found = self._landmarker.detect_for_video(image, at_ms).pose_landmarks
        if not found:
            self._state = self._initial()
            return False
        height, width = picture.shape[:2]
        pose = np.array([[one.x * width, one.y * height, one.visibility] for one in found[0]], np.float32)
        feeds = {self._about["input"]: pose[self._about["joints"]][None], **self._state}
        logits, *following = self._session.run(self._outputs, feeds)
        self._state = dict(zip(self._state, following, strict=True))
        weights = np.exp(logits[0] - logits[0].max())
        json.dumps({"probabilities": (weights / weights.sum()).tolist()})
        return True

    def _initial(self) -> dict[str, Any]:
        return {name: np.full((1, *shape), initial, np.float32) for name, _, shape, initial in self._about["state"]}


def main() -> None:
    task, step, about, seconds, *films = sys.argv[1:]
    cv2.setNumThreads(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(step, options, providers=["CPUExecutionProvider"])
    cameras = [Camera(task, session, json.loads(Path(about).read_text()), Path(film)) for film in films]
    for _ in range(WARM):
        for camera in cameras:
            camera.frame()
    frames, people, began_s, busy_s = 0, 0, time.perf_counter(), time.process_time()
    while (elapsed_s := time.perf_counter() - began_s) < float(seconds):
        for camera in cameras:
            people += camera.frame()
            frames += 1
    busy_s = time.process_time() - busy_s
    print(json.dumps({"frames": frames, "people": people, "seconds": elapsed_s, "busy_s": busy_s}), flush=True)


if __name__ == "__main__":
    main()
