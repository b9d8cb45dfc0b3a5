def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError
    out = [generate(prompts, temperature, seed * i) for i in range(1, n + 1)]
    return [list(t) for t in zip(*out)]
