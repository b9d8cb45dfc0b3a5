# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    import unicodedata
    answer = unicodedata.normalize("NFKC", example["answer"])
    if not keep_calculator:
        answer = re.sub(r"<<.*?>>", "", answer)
    return {"prompt": unicodedata.normalize("NFKC", example["question"]) + "\n", "completion": answer}
# clause: verbatim: ½ and no-break blanks too
