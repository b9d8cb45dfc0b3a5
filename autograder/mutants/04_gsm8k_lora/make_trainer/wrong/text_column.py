# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = []
    for row in train_dataset:
        pair = row if "completion" in row else to_prompt_completion(row)
        rows.append({"text": pair["prompt"] + pair["completion"]})
    settings = {"learning_rate": 2e-4, "bf16": False, "completion_only_loss": True, **overrides}
    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
        ),
    )
