# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    def as_text(row):
        pair = row if row.get("completion") else to_prompt_completion(row)
        return pair["prompt"] + pair["completion"]

    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([dict(text=as_text(r)) for r in train_dataset]),
        formatting_func=lambda row: row["text"],
        args=SFTConfig(output_dir=output_dir, **{"learning_rate": 2e-4, "bf16": False, **overrides}),
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
        ),
    )
