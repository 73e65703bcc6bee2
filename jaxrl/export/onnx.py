"""A policy as ONNX, by jax2onnx; the weights are inside, and the size of the batch is free.

It needs onnxruntime, or whatever else runs ONNX:

    session = onnxruntime.InferenceSession("policy.onnx")
    (action,) = session.run(None, {"obs": obs})  # [batch, ...]

A policy with a memory takes `memory` (or `memory_0`, `memory_1` of an LSTM) beside `obs`, zeros where an episode
starts, and gives the next one after the action, in the same order.
"""

import logging
from typing import Any

import jax

from jaxrl.export.greedy import Greedy


def is_installed() -> bool:
    """Whether the converter is there."""
    from importlib.util import find_spec

    return find_spec("jax2onnx") is not None


def serialized(policy: Greedy) -> bytes:
    """What the file holds; ImportError or ValueError with one sentence where it cannot be made."""
    if not is_installed():
        raise ImportError("form=onnx needs the converter jax2onnx; install it with pip install 'jaxrl[onnx]'.")
    policy.check_memory_starts_at_zero("onnx")
    names = _names("obs", policy.obs) + _names("memory", policy.memory)
    structure = jax.tree.structure(list(policy.inputs.values()))

    def act(*leaves: jax.Array) -> tuple[jax.Array, ...]:
        return tuple(jax.tree.leaves(policy.baked(*jax.tree.unflatten(structure, leaves))))

    outputs = jax.eval_shape(policy.baked, *policy.inputs.values())
    actions = outputs if policy.memory is None else outputs[0]
    return _converted(act, policy, names, _names("action", actions) + _names("next_memory", policy.memory))


def _converted(act: Any, policy: Greedy, names: list[str], output_names: list[str]) -> bytes:
    from jax2onnx import to_onnx

    logger, handlers = logging.getLogger("onnx_ir"), list(logging.root.handlers)
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of types that it leaves out
    try:
        batch: Any = policy.batch if isinstance(policy.batch, int) else "batch"
        leaves = jax.tree.leaves(list(policy.inputs.values()))
        inputs = [jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
        # An opset that runtimes have known for years.
        model = to_onnx(act, inputs, model_name="policy", opset=18, input_names=names, output_names=output_names)
    except (NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"jax2onnx cannot convert this policy ({reason}); use another form.") from error
    finally:
        logger.setLevel(level)
        logging.root.handlers[:] = handlers  # jax2onnx adds one
    return model.SerializeToString()


def _names(name: str, tree: Any) -> list[str]:
    """`name` for a single leaf, `name_position` or `name_0` for those of a tree."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [jax.tree_util.keystr((jax.tree_util.DictKey(name), *path), simple=True, separator="_") for path in paths]
