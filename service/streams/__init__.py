"""One stream: its clock, its people, the order of its answers, its events. And who may open one.

The walk of a frame in, on the event loop's thread:

    StreamTransport.data_received -> StreamConnection.message -> codec.decode -> AdmittedStream.receive
    -> Session.receive -> PoseMapper.accept (is it usable) -> Tracks.find, Resampler.push (who is due for a step)
    -> PendingFrames.submit -> Batcher.submit, or Decoder.submit for an image, which is decoded first

On the engine's thread: `Batcher` takes what is ready, `Engine.advance` runs it, `Delivery.post` wakes the loop.

The walk of an answer out, on the event loop's thread again:

    Delivery -> PersonStep.answered -> Session.step_done (in the order of the frames) -> Responder.prediction (events,
    early decisions) -> Broadcast.predict (bytes for the client, messages for followers) -> StreamTransport.write
"""
