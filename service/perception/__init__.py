"""People in pictures: where a stream's images become poses with tracks, in batches over all cameras.

The walk of a picture whose people are not known yet, after the stream has given it a place and a time:

    Decoder.submit -> PictureMapper.decode, on the decoders' threads (any size to what the estimator takes)
    -> Perceiver, on its own thread: Camera.still (may it be passed over), PeopleEstimator.estimate (one batch of all
    cameras), Camera.track (who is who) -> Delivery -> the stream, which steps each person as if they had come as poses

The tracker and the motion gate of a camera live on that thread too, and not on the event loop: whether a picture is
perceived depends on who was tracked in the one before it, so that the same film gives the same people, however busy the
server is.
"""
