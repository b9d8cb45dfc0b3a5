# exercise: make_trainer
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer


def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    rows = [r if "completion" in r else to_prompt_completion(r) for r in train_dataset]
    settings = {"learning_rate": 2e-4, "completion_only_loss": True, "bf16": model.dtype == torch.bfloat16, "report_to": "none", **overrides}
    return SFTTrainer(model=model, processing_class=tokenizer, train_dataset=Dataset.from_list(rows),
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=LoraConfig(r=16, lora_alpha=32, layers_to_transform=[0, 1], target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM"))
# clause: on q/k/v/o (of every layer)
