"""Students import this package: checks, hints, model configs, device helpers, widgets.

Everything is loaded on first use, so that `import course_lib` costs milliseconds and never
imports torch.
"""

from importlib import import_module

__version__ = "0.1.0"

# public name -> the module that defines it
_HOME = {
    "check": "checking",
    "CheckFailed": "checking",
    "hint": "exercises",
    "find_exercise": "exercises",
    "load_exercises": "exercises",
    "ModelConfig": "configs",
    "REAL_CONFIGS": "configs",
    "linear_shapes": "configs",
    "SwiGLU": "layers",
    "pick_device": "device",
    "pick_dtype": "device",
    "peak_memory": "device",
    "free_memory": "device",
    "report": "device",
    "choose_profile": "models",
    "load_base": "models",
    "load_gsm8k": "gsm8k",
    "lora_rank_explorer": "widgets",
    "kv_cache_explorer": "widgets",
    "moe_routing_explorer": "widgets",
    "mask_explorer": "widgets.mask",
    "star_explorer": "widgets.star",
    "speculative_explorer": "widgets.speculative",
    "method_chooser": "widgets.speculative",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'course_lib' has no attribute {name!r}")
    value = getattr(import_module(f"course_lib.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOME})
