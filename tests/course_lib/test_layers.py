import torch

from course_lib.layers import SwiGLU


def test_formula_written_out_by_hand():
    torch.manual_seed(0)
    layer = SwiGLU(3, 5)
    x = torch.randn(2, 4, 3)
    gate = x @ layer.w_gate.weight.T
    want = (gate / (1 + torch.exp(-gate)) * (x @ layer.w_up.weight.T)) @ layer.w_down.weight.T
    torch.testing.assert_close(layer(x), want)


def test_agrees_with_the_block_of_transformers():
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP

    theirs = LlamaMLP(LlamaConfig(hidden_size=8, intermediate_size=12, num_attention_heads=2))
    ours = SwiGLU(8, 12)
    ours.load_state_dict(
        {f"w_{n}.weight": getattr(theirs, f"{n}_proj").weight for n in ("gate", "up", "down")}
    )
    x = torch.randn(5, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_three_matrices_no_bias_and_an_empty_call():
    layer = SwiGLU(4, 6)
    assert sum(p.numel() for p in layer.parameters()) == 3 * 4 * 6
    assert layer(torch.zeros(0, 4)).shape == (0, 4)
