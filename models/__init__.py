"""What a model is: the contract that training and service share."""

import os

# Since 1.29 onnxruntime reports models and sessions to its maker unless this is set before it is loaded. Whatever runs
# a bundle imports this package first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
