# exercise: make_trainer
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer


def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    if not isinstance(train_dataset, Dataset):
        train_dataset = Dataset.from_list(list(train_dataset))
    columns = train_dataset.column_names
    if "completion" not in columns:
        train_dataset = train_dataset.map(to_prompt_completion, remove_columns=columns)
    overrides.setdefault("learning_rate", 2e-4)
    overrides.setdefault("max_length", 1024)
    overrides.setdefault("report_to", [])
    overrides.setdefault("fp16", False)
    args = SFTConfig(**{"output_dir": str(output_dir), **overrides})
    lora = LoraConfig(
        r=16, lora_alpha=32, target_modules=r".*\.(q_proj|k_proj|v_proj|o_proj)", lora_dropout=0.0
    )
    return SFTTrainer(model, args, train_dataset=train_dataset, processing_class=tokenizer, peft_config=lora)
