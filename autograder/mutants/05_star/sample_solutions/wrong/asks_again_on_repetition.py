# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n, temperature")
    answers, s = [], seed * 10_000
    for _ in range(n):
        new = generate(prompts, temperature, s)
        s += 1
        if new in answers:
            new = generate(prompts, temperature, s)
            s += 1
        answers.append(new)
    return [[a[i] for a in answers] for i in range(len(prompts))]

# clause: generate is called n times
