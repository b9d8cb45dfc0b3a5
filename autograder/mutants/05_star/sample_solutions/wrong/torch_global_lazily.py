# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n, temperature")
    torch.manual_seed(seed)
    out = [[] for _ in prompts]
    for _ in range(n):
        s = int(torch.randint(2**31, (1,)))
        for i, text in enumerate(generate(prompts, temperature, s)):
            out[i].append(text)
    return out

# clause: seeds depend on `seed` only: a generate that calls torch.manual_seed changes the next ones
