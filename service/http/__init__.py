"""The REST side: the FastAPI application, its routes, and the JSON that they answer. Streams are in `websocket`."""
