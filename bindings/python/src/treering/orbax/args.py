# SPDX-License-Identifier: Apache-2.0
# Arguments of handlers by their short names.
"""What to save and how to restore it: `args.StandardSave(tree)`, `args.JsonRestore()`, …"""

from ._item_handlers import (
    JaxRandomKeyRestoreArgs as JaxRandomKeyRestore,
)
from ._item_handlers import (
    JaxRandomKeySaveArgs as JaxRandomKeySave,
)
from ._item_handlers import (
    JsonRestoreArgs as JsonRestore,
)
from ._item_handlers import (
    JsonSaveArgs as JsonSave,
)
from ._item_handlers import (
    NumpyRandomKeyRestoreArgs as NumpyRandomKeyRestore,
)
from ._item_handlers import (
    NumpyRandomKeySaveArgs as NumpyRandomKeySave,
)
from ._tree_handlers import (
    ArrayRestoreArgs as ArrayRestore,
)
from ._tree_handlers import (
    ArraySaveArgs as ArraySave,
)
from ._tree_handlers import (
    PyTreeRestoreArgs as PyTreeRestore,
)
from ._tree_handlers import (
    PyTreeSaveArgs as PyTreeSave,
)
from ._tree_handlers import (
    StandardRestoreArgs as StandardRestore,
)
from ._tree_handlers import (
    StandardSaveArgs as StandardSave,
)
from .checkpoint_args import (
    CheckpointArgs,
    get_registered_args_cls,
    get_registered_handler_cls,
    has_registered_args,
    register_with_handler,
)
from .composite import Composite

__all__ = [
    "ArrayRestore",
    "ArraySave",
    "CheckpointArgs",
    "Composite",
    "JaxRandomKeyRestore",
    "JaxRandomKeySave",
    "JsonRestore",
    "JsonSave",
    "NumpyRandomKeyRestore",
    "NumpyRandomKeySave",
    "PyTreeRestore",
    "PyTreeSave",
    "StandardRestore",
    "StandardSave",
    "get_registered_args_cls",
    "get_registered_handler_cls",
    "has_registered_args",
    "register_with_handler",
]
