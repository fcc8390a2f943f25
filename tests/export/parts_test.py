"""What is recognised by trying: masks, norms, activations; and what cannot be taken is refused by
name."""

import types
import unittest

import transformers_env  # noqa: F401, isort: skip
import torch
import transformers
from keel.export.build import build_model
from keel.export.export import export
from keel.export.graph import Declaration, Refused
from keel.export.hooks.activations import recognise_activation
from keel.export.hooks.attention import recognise_mask
from keel.export.hooks.norms import NormArguments, recognise_norm
from keel.export.plans import _pipeline
from keel.export.renames import _whole
from keel.export.weights import window
from transformers import masking_utils as masks
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm


class MaskTest(unittest.TestCase):
    def test_masks_are_what_they_hide(self):
        causal = masks.causal_mask_function
        self.assertEqual(recognise_mask(causal, None), (True, 0, 0))
        self.assertEqual(recognise_mask(masks.bidirectional_mask_function, None), (False, 0, 0))
        self.assertEqual(
            recognise_mask(masks.sliding_window_causal_mask_function(7), 7), (True, 7, 0)
        )
        chunks = masks.chunked_causal_mask_function(8, torch.zeros(1, dtype=torch.int64))
        self.assertEqual(recognise_mask(chunks, 8), (True, 0, 8))

    def test_another_mask_is_refused(self):
        with self.assertRaisesRegex(Refused, "none of causal, bidirectional, window and chunk"):
            recognise_mask(lambda batch, head, query, key: (query + key) % 2 == 0, None)


class SparseAttentionTest(unittest.TestCase):
    def test_keys_that_an_index_chooses_are_refused(self):
        """However many it chooses: the texts that an export is tried with have no more."""
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "moe_intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": 96,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 8,
            "v_head_dim": 8,
            "index_head_dim": 16,
            "index_n_heads": 2,
            "index_topk": 2048,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        }
        for name in ("DeepseekV32", "GlmMoeDsa"):
            model_class = getattr(transformers, f"{name}ForCausalLM")
            model = build_model(model_class.config_class(**sizes), model_class)
            with self.assertRaisesRegex(
                Refused,
                rf"^model\.layers\.0\.self_attn \({name}Attention\) attends to the keys that an "
                r"index chooses \(sparse attention\)$",
            ):
                export(model)


class NormTest(unittest.TestCase):
    def test_norms_are_what_they_compute(self):
        self.assertEqual(
            recognise_norm(LlamaRMSNorm(16, 1e-3)), NormArguments(1e-3, False, 0.0, False)
        )
        self.assertEqual(
            recognise_norm(Gemma3RMSNorm(16, 1e-3)), NormArguments(1e-3, False, 1.0, True)
        )
        self.assertEqual(
            recognise_norm(torch.nn.LayerNorm(16, 1e-4)), NormArguments(1e-4, True, 0.0, True)
        )
        self.assertIsNone(recognise_norm(torch.nn.Identity()))

    def test_trying_leaves_no_trace(self):
        norm = LlamaRMSNorm(16)
        recognise_norm(norm)
        self.assertTrue(torch.equal(norm.weight, torch.ones(16)))


class ActivationTest(unittest.TestCase):
    def test_activations_are_what_they_compute(self):
        self.assertEqual(recognise_activation(torch.nn.SiLU()), "silu")
        self.assertEqual(recognise_activation(torch.nn.GELU(approximate="tanh")), "gelu_tanh")
        self.assertIsNone(recognise_activation(torch.nn.Mish()))


class WeightsTest(unittest.TestCase):
    def test_a_window_takes_no_memory_and_is_no_symmetric_matrix(self):
        matrix = window(torch.Size([3000, 3000]), torch.float32, "w")
        self.assertLess(matrix.untyped_storage().nbytes(), 100_000)
        self.assertFalse(torch.equal(matrix, matrix.T))
        self.assertTrue(torch.equal(matrix, window(matrix.shape, torch.float32, "w")))


class PlanTest(unittest.TestCase):
    def test_a_pipeline_that_leaves_out_a_module_is_none(self):
        said = {
            "embed_tokens": (["input_ids"], ["inputs_embeds"]),
            "layers": (["hidden_states"], ["hidden_states"]),
        }
        config = types.SimpleNamespace(base_model_pp_plan=said)
        names = {"layers.*.q_proj": Declaration("layers.0.q_proj", "linear", {})}
        children = [child for child, *_ in _pipeline(config, names, set(names), "layers")]
        self.assertEqual(children, ["embed_tokens", "layers"])
        self.assertEqual(_pipeline(config, names, {*names, "projection"}, "layers"), [])


class RenameTest(unittest.TestCase):
    def test_a_pattern_that_is_searched_for_becomes_one_of_whole_names(self):
        self.assertEqual(
            _whole(r"^embed\.(\w+)", r"words.\1"), (r"embed\.(\w+)(.*)", r"words.\1\2")
        )
        self.assertEqual(
            _whole(r"\.attn\.", ".self_attn."), (r"(.*?)\.attn\.(.*)", r"\1.self_attn.\2")
        )
        self.assertEqual(_whole("fc", "up", "vit"), (r"(.*?\bvit\..*?)fc((?:\W.*)?)", r"\1up\2"))
        self.assertIsNone(_whole(r"^model(?!\.x)", "y"))


if __name__ == "__main__":
    unittest.main()
