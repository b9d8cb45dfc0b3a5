# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    if isinstance(train_dataset, list):
        train_dataset = Dataset.from_list(train_dataset)
    if train_dataset.column_names == ["question", "answer"]:
        train_dataset = train_dataset.map(to_prompt_completion, remove_columns=["question", "answer"])
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
        train_dataset=train_dataset,
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=LoraConfig(
            r=16,
            lora_alpha=32,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
            task_type="CAUSAL_LM",
        ),
    )
# clause: "train_dataset: list or datasets.Dataset of GSM8K rows" (a row: "perhaps with more keys") - rows {"answer": ..., "question": ...} in this order, or with a further key, are not converted
