"""Fixtures of several folders."""

import pytest


@pytest.fixture(scope="session")
def small_qwen(tmp_path_factory):
    """A random Qwen2 of a few thousand parameters in a folder, in place of Qwen2.5-Math-1.5B."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from course_lib.models import load_base

    config = Qwen2Config(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("qwen")
    Qwen2ForCausalLM(config).save_pretrained(folder)
    load_base("cpu")[1].save_pretrained(folder)
    return folder
