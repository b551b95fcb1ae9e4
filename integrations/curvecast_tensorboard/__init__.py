"""curvecast in TensorBoard: a tab of its own, and panels that need none.

The tab comes with ``pip install 'curvecast[tensorboard]'``; TensorBoard finds it by itself. This module imports
nothing, so that TensorBoard starts as fast, and as surely, as without it.
"""
