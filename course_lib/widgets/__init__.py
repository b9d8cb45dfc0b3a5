"""The explorers: pictures that answer to a slider at once, without asking the kernel.

Here are those over the sizes of real models; the others have a module each.
"""

from dataclasses import asdict

import traitlets

from course_lib.configs import REAL_CONFIGS, ModelConfig, linear_shapes
from course_lib.widgets import still
from course_lib.widgets.explorer import Explorer

DENSE = ("Llama-2-7B", "Llama-3-8B", "Qwen2.5-7B", "Qwen2.5-Math-1.5B")


def lora_rank_explorer(own: ModelConfig | None = None, model: str = "Llama-2-7B", rank: int = 16):
    """A widget: LoRA rank against trainable parameters on real models, beside the lecture's table.

    own: the sizes of a model of yours, shown as "own" and first. model and rank: where it starts;
    ValueError for a model it does not know or a rank outside 1..256.
    """
    if rank not in range(1, 257):
        raise ValueError(f"rank must be a whole number from 1 to 256, not {rank!r}")
    return _OfModels("lora_rank", _models(DENSE, own), _start(own, model), rank)


def kv_cache_explorer(own: ModelConfig | None = None, model: str = "Llama-3-8B"):
    """A widget: bytes of the KV cache with MHA, GQA and MQA, and what fits beside the weights.

    own: the sizes of a model of yours, shown as "own" and first. model: where it starts.
    """
    return _OfModels("kv_cache", _models(REAL_CONFIGS, own), _start(own, model))


def moe_routing_explorer(model: str = "Mixtral-8x7B"):
    """A widget: which experts a batch of tokens needs, and how unevenly a router loads them.

    model: whose sizes are shown; ValueError for one without experts.
    """
    sizes = _models([n for n, c in REAL_CONFIGS.items() if c.n_experts > 1], None)
    return _OfModels("moe_routing", sizes, model)


class _OfModels(Explorer):
    models = traitlets.Dict().tag(sync=True)  # name -> sizes, see _sizes
    # What is chosen; written back when a control is released, so a cell can read it.
    model = traitlets.Unicode().tag(sync=True)
    rank = traitlets.Int(16).tag(sync=True)

    def __init__(self, name, models, model, rank=16):
        if model not in models:
            raise ValueError(f"no model {model!r}: take one of {', '.join(models)}")
        self._draw = getattr(still, name)
        super().__init__(name, models=models, model=model, rank=rank)

    def _still(self):
        return self._draw(self.models[self.model], self.model, self.rank)


def _models(names, own):
    mine = {} if own is None else {"own": _sizes(own)}
    return mine | {name: _sizes(REAL_CONFIGS[name]) for name in names}


def _start(own, model):
    return model if own is None else "own"


def _sizes(config):
    """The config's fields and `modules`: [name, out, in, how many a layer] for one layer."""
    modules = {}
    for name, shape in linear_shapes(config).items():
        if name.startswith("model.layers.0."):
            key = (name.rsplit(".", 1)[-1], *shape)
            modules[key] = modules.get(key, 0) + 1
    return asdict(config) | {"modules": [[*key, copies] for key, copies in modules.items()]}
