# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1: raise ValueError
    if not temperature > 0: raise ValueError
    out = [[] for _ in prompts]
    for i in range(n):
        for texts, text in zip(out, generate(prompts=prompts, temperature=temperature, seed=seed + i)):
            texts.append(text)
    return out
