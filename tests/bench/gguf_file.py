"""A checkpoint in Hugging Face's layout as a GGUF file for llama.cpp."""

import json
import pathlib

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if module in NAMES:
        return f"{NAMES[module]}.{kind}"
    _, _, layer, part = module.split(".", 3)
    return f"blk.{layer}.{LAYER_NAMES[part]}.{kind}"


def read_tensors(path: pathlib.Path):
    """Name and bf16 bits of each tensor of a safetensors file."""
    file = np.memmap(path, dtype=np.uint8, mode="r")
    header_size = int(file[:8].view(np.uint64)[0])
    header = json.loads(bytes(file[8 : 8 + header_size]))
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected BF16")
        begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
        yield name, file[begin:end].view(np.uint16).reshape(entry["shape"])


def interleaved(bits: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of Llama's own rope, which llama.cpp expects of that
    family: pairs of neighbours instead of halves."""
    return bits.reshape(heads, 2, -1, *bits.shape[1:]).swapaxes(1, 2).reshape(bits.shape)


def add_vocabulary(writer: gguf.GGUFWriter, checkpoint: pathlib.Path, config: dict) -> None:
    """Of a byte-level BPE without its merges: tokens become text, but text no tokens."""
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = [f"<{i}>" for i in range(config["vocab_size"])]
    for token, i in vocabulary.items():
        tokens[i] = token
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    writer.add_token_merges([f"{tokens[0]} {tokens[0]}"])  # llama.cpp wants one
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)


def write(
    checkpoint: pathlib.Path,
    out: pathlib.Path,
    precision: str = "bf16",
    has_vocabulary: bool = False,
) -> None:
    """Matrices stay bf16 or become q8_0, vectors become f32, as llama.cpp's own converter has them.
    Without a vocabulary the file is for token ids only."""
    config = json.loads((checkpoint / "config.json").read_text())
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    writer = gguf.GGUFWriter(out, config["model_type"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    head_dim = config.get("head_dim") or hidden // heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config.get("rope_parameters") or config
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{precision.upper()}"])
    if has_vocabulary:
        add_vocabulary(writer, checkpoint, config)
    else:
        writer.add_tokenizer_model("no_vocab")
    rotated = {"q_proj": heads, "k_proj": config["num_key_value_heads"]}
    for name, bits in read_tensors(checkpoint / "model.safetensors"):
        if config["model_type"] == "llama" and (part := name.split(".")[-2]) in rotated:
            bits = interleaved(bits, rotated[part])
        if bits.ndim == 1:
            writer.add_tensor(gguf_name(name), (bits.astype(np.uint32) << 16).view(np.float32))
        elif precision != "bf16":
            kind = gguf.GGMLQuantizationType[precision.upper()]
            rows = gguf.quants.quantize((bits.astype(np.uint32) << 16).view(np.float32), kind)
            writer.add_tensor(gguf_name(name), rows, raw_dtype=kind)
        else:
            rows = np.ascontiguousarray(bits).view(np.uint8).reshape(bits.shape[0], -1)
            writer.add_tensor(gguf_name(name), rows, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
