# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from trl import SFTConfig, SFTTrainer

    def pair(row):
        if "prompt" in row:
            return {key: row[key] for key in ("prompt", "completion")}
        return to_prompt_completion(row)

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=16,
        lora_alpha=32,
        target_modules=["o_proj", "v_proj", "k_proj", "q_proj"],
    )
    options = dict(learning_rate=2e-4, completion_only_loss=True, bf16=False, report_to="none")
    options.update(overrides)
    return SFTTrainer(
        get_peft_model(model, config),
        args=SFTConfig(output_dir, **options),
        train_dataset=Dataset.from_list([pair(row) for row in train_dataset]),
        processing_class=tokenizer,
    )
