# SPDX-License-Identifier: Apache-2.0
# The package's one logger, "treering": quiet unless the program has set logging up.
#
# `logging` itself is imported only by programs that use it, so a program that does not pays nothing:
# without the module nobody can have asked to hear anything.
from __future__ import annotations

import sys
import time

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # as in logging


def log(level: int, message: str, *arguments: object) -> None:
    """Logs a line under the name "treering"; `arguments` are %-formatted as logging does it."""
    logging = sys.modules.get("logging")
    if logging is None or not hasattr(logging, "getLogger"):
        return
    logger = logging.getLogger("treering")
    if not logger.handlers:  # else Python prints what nobody handles on stderr
        logger.addHandler(logging.NullHandler())
    logger.log(level, message, *arguments)


class Timer:
    """Logs at level INFO what took how long, when its block ends well."""

    def __init__(self, what: str, *arguments: object) -> None:
        self.what, self.arguments = what, arguments

    def __enter__(self) -> Timer:
        self.started = time.perf_counter()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            seconds = time.perf_counter() - self.started
            log(INFO, self.what + " in %.3f s", *self.arguments, seconds)
