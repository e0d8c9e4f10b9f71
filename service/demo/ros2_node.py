"""A ROS 2 node in outline: images of a topic in, the running prediction and the events out, as JSON strings.

    python -m inkling.service.demo.ros2_node --ros-args -r image:=/camera/image_raw/compressed

Runs where rclpy, sensor_msgs and std_msgs are installed; nothing else of Inkling needs them. The bridge itself is plain
Python: it takes compressed images as they come (JPEG or PNG), never waits for the server in the subscription, and keeps
the camera's own time, so that a pause of the robot is a pause for the model. A lost stream is opened again.
ROS 2 Humble has Python 3.10, which this package does not run on: see `plain_protocol.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from inkling.client import Client, Event, Prediction, Reconnection, RemoteError, Stream

try:
    import rclpy
    from rclpy.node import Node
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import String
except ImportError:
    rclpy = None

TOPICS = ("prediction", "event", "refused", "reconnected")


class Bridge:
    """What a node does with Inkling. publish: called with a topic and a JSON text for each prediction and event, from
    the client's thread, as soon as they arrive."""

    def __init__(self, url: str, bundle: str, publish: Callable[[str, str], None]) -> None:
        """Raises what `Client.stream` raises."""
        self._publish = publish
        self._began_s: float | None = None
        self.left_out = 0
        """Images for which the server had no room when they came."""
        self.stream: Stream = Client(url).stream(
            bundle,
            input="frame",
            on_prediction=self._prediction,
            on_event=self._event,
            on_error=self._refused,
            on_reconnect=self._reconnected,
            reconnect=True,
        )

    def image(self, data: bytes, stamp_s: float) -> None:
        """Take one JPEG or PNG file, stamped in seconds of any clock that only rises. Raises what ended the stream."""
        if self._began_s is None:
            self._began_s = stamp_s
        if self.stream.room:
            self.stream.send_image(data, max(stamp_s - self._began_s, 0.0))
        else:
            self.left_out += 1

    def close(self) -> None:
        self.stream.close()

    def _prediction(self, one: Prediction) -> None:
        shares = dict(zip(self.stream.labels, one.probabilities, strict=True))
        ahead = {} if one.for_s is None else {"for_s": one.for_s}
        said = {"pts_s": one.pts_s, **ahead, "label": one.label, "probabilities": shares}
        self._publish("prediction", json.dumps(said))

    def _event(self, event: Event) -> None:
        ahead = {} if event.begins_in_s is None else {"begins_in_s": event.begins_in_s}
        text = json.dumps({"pts_s": event.pts_s, **ahead, "label": event.label, "phase": event.phase})
        self._publish("event", text)

    def _refused(self, error: RemoteError) -> None:
        self._publish("refused", json.dumps({"code": error.code, "message": str(error)}))

    def _reconnected(self, about: Reconnection) -> None:
        text = json.dumps({"reason": str(about.reason), "frames_lost": len(about.unanswered), "down_s": about.down_s})
        self._publish("reconnected", text)


def main() -> int:
    """Run the node until it is shut down."""
    if rclpy is None:
        sys.stderr.write("this example needs ROS 2: source its setup file, then run it with ROS's own Python\n")
        return 2
    rclpy.init()
    node: Any = Node("inkling")
    url = node.declare_parameter("url", "http://127.0.0.1:8000").value
    bundle = node.declare_parameter("bundle", "fall-watch").value
    topics = {name: node.create_publisher(String, f"~/{name}", 10) for name in TOPICS}
    bridge = Bridge(url, bundle, lambda topic, text: topics[topic].publish(String(data=text)))

    def on_image(message: Any) -> None:
        stamp = message.header.stamp
        bridge.image(bytes(message.data), stamp.sec + stamp.nanosec * 1e-9)

    node.create_subscription(CompressedImage, "image", on_image, 1)  # depth 1: the newest image, not the oldest
    try:
        rclpy.spin(node)
    finally:
        bridge.close()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
