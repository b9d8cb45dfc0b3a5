# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    answer = [*response_ids]
    if not answer or answer[-1] != eos_id:
        answer += [eos_id]
    pairs = [(t, False) for t in prompt_ids] + [(t, True) for t in answer]
    del pairs[max_len:]
    if not any(learned for _, learned in pairs):
        return None
    return dict(
        input_ids=[t for t, _ in pairs], labels=[t if learned else -100 for t, learned in pairs]
    )
