def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError
    result = {}
    for i in range(n):
        for p, text in zip(prompts, generate(prompts, temperature, seed + i)):
            result.setdefault(p, []).append(text)
    return list(result.values())
