# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    import peft
    import trl
    from datasets import Dataset

    rows = [dict(r) for r in train_dataset]
    if rows and "question" in rows[0]:
        rows = [to_prompt_completion(r) for r in rows]
    base = {
        "learning_rate": 0.0002,
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "report_to": "none",
        "logging_steps": 10,
        "packing": False,
    }
    args = trl.SFTConfig(output_dir=output_dir, **(base | overrides))
    targets = {"q_proj", "k_proj", "v_proj", "o_proj"}
    trainer = trl.SFTTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict(
            {key: [r[key] for r in rows] for key in ("prompt", "completion")}
        ),
        processing_class=tokenizer,
        peft_config=peft.LoraConfig(
            r=16, lora_alpha=2 * 16, target_modules=targets, task_type=peft.TaskType.CAUSAL_LM
        ),
    )
    return trainer
