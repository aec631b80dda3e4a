# SPDX-License-Identifier: Apache-2.0
# Exceptions of a Checkpointer; treering's own, too.
"""`StepAlreadyExistsError` and `StepNotFoundError`."""

from ...._errors import AlreadyExistsError, CheckpointNotFoundError


class StepAlreadyExistsError(AlreadyExistsError):
    """(A FileExistsError) the step exists, or is being saved; `overwrite=True` replaces it."""


class StepNotFoundError(CheckpointNotFoundError):
    """(A FileNotFoundError) there is no such step, or none at all."""


__all__ = ["StepAlreadyExistsError", "StepNotFoundError"]
