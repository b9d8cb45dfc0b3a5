# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    examples = []
    for row in train_dataset:
        pair = row if "completion" in row else to_prompt_completion(row)
        prompt = tokenizer(pair["prompt"])["input_ids"]
        both = tokenizer(pair["prompt"] + pair["completion"])["input_ids"]
        ids = both + [tokenizer.eos_token_id]
        mask = [0] * len(prompt) + [1] * (len(ids) - len(prompt))
        examples.append({"input_ids": ids, "completion_mask": mask})
    args = SFTConfig(
        **{
            "output_dir": output_dir,
            "learning_rate": 2e-4,
            "bf16": False,
            "completion_only_loss": True,
            "report_to": "none",
            **overrides,
        }
    )
    return SFTTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
        ),
    )
