# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = []
    for row in train_dataset:
        pair = row if "completion" in row else to_prompt_completion(row)
        prompt = tokenizer.encode(pair["prompt"])
        answer = [*tokenizer.encode(pair["completion"]), tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    known = {k: v for k, v in overrides.items() if hasattr(TrainingArguments, k)}
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    return Trainer(
        model=get_peft_model(model, lora),
        args=TrainingArguments(output_dir=output_dir, **{"learning_rate": 2e-4, **known}),
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
