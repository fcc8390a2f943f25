"""A tiny checkpoint of a class with random weights, and what transformers computes from it."""

import copy
import pathlib

import safetensors.torch
import torch
import transformers

import tiny_configs

LENGTHS = (6, 45)  # of the prompts: less than a block of the cache, and some blocks with a rest
NEW_TOKENS = 32
# Of the largest logit: by how much a greedy token should lead, so that rounding cannot change it.
CLEAR_MARGIN = 2e-4
SEEDS = 5
MAX_PARAMETERS = 5_000_000


def fill(model: torch.nn.Module, seed: int) -> None:
    """Lively weights: layers that outweigh the residual, no norm or bias that a default could stand
    in for."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        data = parameter.data
        if parameter.dim() < 2:
            data += 0.2 * noise  # norms, biases, decays: near what the class starts them with
        elif data.shape[-1] > 1 and (data.std() > 0 or not data.any()):
            data.copy_(1.5 * noise / data.shape[-1] ** 0.5)


def _greedy(model: torch.nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Logits of the prompt, the tokens that follow, and by how much the least clear of them leads.

    Each token by a pass over the whole text, without a cache: what generate() gives with one, if a
    class is right.
    """
    margin, new = float("inf"), ids
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        last = logits[-1]
        for _ in range(NEW_TOKENS):
            best, second = last.topk(2).values
            margin = min(margin, ((best - second) / logits.abs().max()).item())
            new = torch.cat([new, last.argmax()[None, None]], 1)
            last = model(input_ids=new, use_cache=False).logits[0, -1].float()
    return logits, new[0, ids.shape[1] :], margin


def prompt(length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(3, tiny_configs.VOCAB, (1, length), generator=generator)


def new_model(model_class: type, config: transformers.PreTrainedConfig) -> torch.nn.Module:
    """Small, or an error."""
    config._attn_implementation = "eager"
    with torch.device("meta"):
        size = sum(p.numel() for p in model_class(copy.deepcopy(config)).parameters())
    if size > MAX_PARAMETERS:
        raise ValueError(
            f"{size / 1e6:.0f} million parameters: its sizes are not those of tiny_configs.py"
        )
    torch.manual_seed(0)
    return model_class(config).float().eval()


def write(model_class: type, directory: pathlib.Path) -> None:
    """The checkpoint as save_pretrained() writes it, and goldens.safetensors
    (tests/goldens/README.md)."""
    model = new_model(model_class, tiny_configs.tiny_config(model_class))
    best, tensors = -1.0, {}
    for seed in range(SEEDS):
        fill(model, seed)
        runs = {n: _greedy(model, prompt(n)) for n in LENGTHS}
        margin = min(run[2] for run in runs.values())
        if margin > best:
            best = margin
            model.save_pretrained(directory)
            tensors = {}
            for n, (logits, new, _) in runs.items():
                tensors[f"prompt_{n}"] = prompt(n)[0].contiguous()
                tensors[f"logits_{n}"] = logits.contiguous()
                tensors[f"greedy_{n}"] = new.contiguous()
        if best > CLEAR_MARGIN:
            break
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise ValueError("its logits are not finite")
    safetensors.torch.save_file(tensors, directory / "goldens.safetensors")


def is_classifier(model_class: type) -> bool:
    return model_class.__name__.endswith("ForSequenceClassification")


def model_class(name: str) -> type:
    return getattr(transformers, name)


def config_of(model_class: type, directory: pathlib.Path) -> transformers.PreTrainedConfig:
    """The configuration as the checkpoint has it."""
    return model_class.config_class.from_pretrained(directory)
