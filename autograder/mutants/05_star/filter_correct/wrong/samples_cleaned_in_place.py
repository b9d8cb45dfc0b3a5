# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for i, problem in enumerate(problems):
        texts, seen = samples[i], set()
        texts[:] = [text for text in texts if is_correct(text, problem)]
        for text in texts:
            key = tuple(equations(text)) or text
            if key not in seen and len(seen) < max_per_problem:
                seen.add(key)
                result.append((i, text))
    return result
# clause: "arguments are never modified" (contract, everywhere) - the wrong texts are deleted from the caller's lists; shows when samples is compared with a copy after a call with a wrong text in it
