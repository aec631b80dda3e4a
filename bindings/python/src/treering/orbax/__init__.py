# SPDX-License-Identifier: Apache-2.0
# treering.orbax: what programs written for orbax.checkpoint import instead of it.
"""`import treering.orbax as ocp` instead of `import orbax.checkpoint as ocp`.

    >>> import tempfile, numpy as np
    >>> import treering.orbax as ocp
    >>> with ocp.CheckpointManager(tempfile.mkdtemp()) as manager:
    ...     manager.save(0, args=ocp.args.StandardSave({"w": np.arange(3)}))
    ...     manager.wait_until_finished()
    ...     manager.restore(0)
    True
    {'w': array([0, 1, 2])}

Names, arguments, answers and exceptions are Orbax's; what is stored is a store of treering, which
every reader of it takes. Neither orbax nor tensorstore is needed. Where an answer differs on purpose,
`ORBAX.md` says so and why.
"""
