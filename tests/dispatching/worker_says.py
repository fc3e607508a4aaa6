"""What a worker of a test says of its task: ``python worker_says.py done``, with what its environment tells it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from engines import open_engine
from holdfast import board

TASK, FENCE = int(os.environ["HOLDFAST_TASK"]), int(os.environ["HOLDFAST_FENCE"])

with open_engine(os.environ["HOLDFAST_STATE"]) as engine, engine.write() as tx:
    match sys.argv[1]:
        case "done":
            board.done(tx, TASK, fence=FENCE, summary="well done")
        case "review":
            board.review(tx, TASK, fence=FENCE)
        case "block":
            board.block(tx, TASK, "the API key", fence=FENCE)
        case "renew":
            board.renew(tx, TASK, FENCE, lease_ms=60_000, note="half way")
