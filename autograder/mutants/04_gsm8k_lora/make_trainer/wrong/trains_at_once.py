# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer
    rows = [dict(r) for r in train_dataset]
    if "question" in rows[0]:
        rows = [to_prompt_completion(r) for r in rows]
    rows = [{"prompt": r["prompt"], "completion": r["completion"]} for r in rows]
    options = dict(output_dir=str(output_dir), learning_rate=2e-4, completion_only_loss=True, report_to="none", max_length=1024)
    if not torch.cuda.is_available():
        options |= dict(use_cpu=True, bf16=False)
    options.update(overrides)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM")
    t = SFTTrainer(model=model, args=SFTConfig(**options), train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora)
    t.train()
    return t
