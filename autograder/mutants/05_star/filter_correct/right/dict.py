# exercise: filter_correct
import re
def filter_correct(problems, samples, is_correct, max_per_problem):
    out = []
    for i in range(len(problems)):
        first = {}
        for text in samples[i]:
            if is_correct(text, problems[i]):
                key = "|".join(re.findall(r"<<([^>]*)>>", text))
                first.setdefault(key or ("text", text), text)
        out.extend((i, text) for text in list(first.values())[:max_per_problem])
    return out
