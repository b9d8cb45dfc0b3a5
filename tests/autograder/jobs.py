"""A job for worker processes, in a module that a new process imports at once."""

import os
import time


def shout(job):
    if job == b"die":
        os._exit(3)
    if job == b"hang":
        time.sleep(60)
    if job == b"raise":
        raise ValueError("two\nlines")
    return job.upper()
