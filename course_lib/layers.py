"""Layers that the notebooks are given."""

import torch
import torch.nn.functional as F
from torch import nn


class SwiGLU(nn.Module):
    """The feed-forward block of Llama, Qwen and of every Mixtral expert; no biases.

        y = W_down (silu(W_gate x) * (W_up x)),   silu(z) = z * sigmoid(z)

    x is (..., d_model) and so is y; W_gate and W_up are (d_ff, d_model), W_down (d_model, d_ff):
    3 * d_model * d_ff parameters. Any number of rows is fine, none too.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202, equation 6
    (FFN_SwiGLU).
    """

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.w_gate = nn.Linear(d_model, d_ff, bias=False)
        self.w_up = nn.Linear(d_model, d_ff, bias=False)
        self.w_down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w_down(F.silu(self.w_gate(x)) * self.w_up(x))
