"""``fastworker.accelerate(app)``: a Celery *client* that publishes and reads results through our connections.

Nothing in the client's code changes, and what others see of it stays Celery's. There are three ways for a message:

1. a plain call (``sending.py``): what stays the same between two calls is prepared once (``lane.py``);
2. any other message for a queue (``producer.py``): Celery makes it, our connection carries it;
3. all else, and whatever failed on the first two: Celery's, as if we were not there.

Which way was taken cannot be told from the message. Decision 0019.
"""

from __future__ import annotations

from fastworker.hosting.acceleration.switch import Acceleration, accelerate, acceleration_of

__all__ = ["Acceleration", "accelerate", "acceleration_of"]
