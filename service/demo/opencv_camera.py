"""A camera, OpenCV and Inkling in twenty lines: python -m inkling.service.demo.opencv_camera [0 | FILE | URL]."""

import sys

import cv2

from inkling.client import Client, Prediction


def show(prediction: Prediction) -> None:  # called as soon as one arrives
    sys.stdout.write(f"{prediction.label:>12} {max(prediction.probabilities):4.0%}\n")


def main(source: str = "0") -> None:
    camera = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    with Client("http://127.0.0.1:8000").stream("fall-watch", input="frame", on_prediction=show) as stream:
        good, image = camera.read()
        while good:
            if stream.room:  # otherwise the server has not answered yet: leave this frame out
                stream.send_image(image, bgr=True)
            good, image = camera.read()
    sys.stdout.write(f"{stream.summary}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
