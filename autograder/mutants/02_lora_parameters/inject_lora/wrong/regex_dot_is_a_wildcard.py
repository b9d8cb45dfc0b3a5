# exercise: inject_lora
import re


def inject_lora(model, targets, r, alpha):
    pattern = re.compile(rf"(^|\.)({'|'.join(targets)})$")
    found = [
        (name, m) for name, m in model.named_modules()
        if isinstance(m, (nn.Linear, LoRALinear)) and pattern.search(name)
    ]
    if not found:
        raise ValueError("nothing matches")
    for name, m in found:
        if isinstance(m, nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, LoRALinear(m, r, alpha))
    for name, p in model.named_parameters():
        p.requires_grad_(name.split(".")[-1].startswith("lora_"))
    return model
# clause: "names match as in `lora_param_count`": "equals a target or ends in "." + target" - target "attn.q" also wraps a sibling "attn_q"
