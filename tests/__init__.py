import inkling.models  # noqa: F401  # before any test imports onnxruntime: switches its telemetry off
