# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"prompt": row["prompt"], "completion": row["completion"]}
        if "completion" in row
        else to_prompt_completion(row)
        for row in train_dataset
    ]
    settings = {
        "learning_rate": 2e-4,
        "completion_only_loss": True,
        "bf16": model.dtype == torch.bfloat16,  # TRL's default would be True on any model
        "report_to": "none",
        **overrides,
    }
    lora = LoraConfig(
        r=16,
        lora_alpha=16,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        task_type="CAUSAL_LM",
    )
    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=lora,
    )
