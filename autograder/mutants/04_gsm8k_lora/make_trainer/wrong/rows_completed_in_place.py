# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = list(train_dataset)
    for row in rows:
        if "completion" not in row:
            row.update(to_prompt_completion(row))
            del row["question"], row["answer"]
    settings = {
        "learning_rate": 2e-4,
        "completion_only_loss": True,
        "bf16": model.dtype == torch.bfloat16,
        "report_to": "none",
        **overrides,
    }
    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=LoraConfig(
            r=16,
            lora_alpha=32,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
            task_type="CAUSAL_LM",
        ),
    )
# clause: "arguments are never modified" (contract, for all exercises) - a list of GSM8K rows: afterwards its rows have prompt and completion in place of question and answer
