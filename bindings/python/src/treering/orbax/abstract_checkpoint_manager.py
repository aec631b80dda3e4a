# SPDX-License-Identifier: Apache-2.0
# The interface of managers, for programs that bring one of their own.
from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Optional


class AbstractCheckpointManager(abc.ABC):
    """What a manager of steps can do; `CheckpointManager` says what each method means."""

    @property
    @abc.abstractmethod
    def directory(self) -> Any: ...

    @abc.abstractmethod
    def all_steps(self, read: bool = False) -> Sequence[int]: ...

    @abc.abstractmethod
    def latest_step(self) -> Optional[int]: ...

    @abc.abstractmethod
    def best_step(self) -> Optional[int]: ...

    @abc.abstractmethod
    def reload(self) -> None: ...

    @abc.abstractmethod
    def reached_preemption(self, step: int) -> bool: ...

    @abc.abstractmethod
    def should_save(self, step: int) -> bool: ...

    @abc.abstractmethod
    def delete(self, step: int) -> None: ...

    @abc.abstractmethod
    def save(self, step: int, items: Any = None, *args: Any, **kwargs: Any) -> bool: ...

    @abc.abstractmethod
    def restore(self, step: Optional[int], items: Any = None, *args: Any, **kwargs: Any) -> Any: ...

    @abc.abstractmethod
    def item_metadata(self, step: int) -> Any: ...

    @abc.abstractmethod
    def metadata(self, step: Optional[int] = None) -> Any: ...

    @abc.abstractmethod
    def metrics(self, step: int) -> Any: ...

    @abc.abstractmethod
    def wait_until_finished(self) -> None: ...

    @abc.abstractmethod
    def check_for_errors(self) -> None: ...

    @abc.abstractmethod
    def close(self) -> None: ...
