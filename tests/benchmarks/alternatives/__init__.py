"""What a user would build or take instead, each with the same model, and the bare echo that bounds them all.

Each module is a server: `python -m tests.benchmarks.alternatives.NAME PORT`. All take the same packed poses of COCO-17
(`protocol/pose_binary.py`) and answer every frame with float32 probabilities. None has what the service does besides:
no clock, no checks of what comes in, no limits, no accounts of what was dropped.
"""
