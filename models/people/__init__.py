"""People in pictures: where they are, who is who from frame to frame, and whether it is worth looking at all."""
