"""Holds a plugin against transformers on one checkpoint, and says where their numbers part.

  ./bazelw run //tests/parity:compare -- --plugin libmine.so --model /models/mine

Both run in fp32 on the CPU. Logits of every prompt position and the greedy tokens are compared; if
they differ, so is what each layer leaves (at LayerMarks): by halves, or one by one with --layers.
Hidden states are seen through the model's head, so that the host need not hand them out.
"""

import argparse
import subprocess
import sys

TOLERANCE = 1e-4  # of the largest value: what the order of additions may change


class Plugin:
    """What the plugin computes, by the program `trace`."""

    def __init__(self, trace, library, model, ids):
        self._command = [trace, library, model, ",".join(map(str, ids))]
        self._rows = len(ids)

    def _run(self, *what):
        done = subprocess.run([*self._command, *map(str, what)], stdout=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(done.returncode)  # it has said why
        return done.stdout

    def _tensor(self, *what):
        import numpy

        return numpy.frombuffer(self._run(*what), numpy.float32).reshape(self._rows, -1)

    def num_layers(self):
        return int(self._run("layers"))

    def logits(self):
        return self._tensor("logits")

    def layer(self, index):
        return self._tensor("layer", index)

    def greedy(self, count):
        return [int(token) for token in self._run("greedy", count).split(b",")]


class Transformers:
    """The same from the model's class in transformers."""

    def __init__(self, model, ids):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self._torch = torch
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self._ids = torch.tensor([ids])
        self._layers = []
        for layer in self._decoder_layers():
            layer.register_forward_hook(lambda _m, _in, out: self._layers.append(out))
        with torch.no_grad():
            self._logits = self._model(self._ids, use_cache=False).logits[0].numpy()

    def _decoder_layers(self):
        """The list of layers: the longest one below the base model."""
        modules = self._model.base_model.modules()
        lists = [m for m in modules if isinstance(m, self._torch.nn.ModuleList)]
        return max(lists, key=len, default=())

    def logits(self):
        return self._logits

    def layer(self, index):
        out = self._layers[index]
        hidden = (out[0] if isinstance(out, tuple) else out).reshape(len(self._ids[0]), -1)
        head = self._model.get_output_embeddings()
        with self._torch.no_grad():
            return head(hidden.to(head.weight.dtype)).numpy()

    def greedy(self, count):
        self._layers.clear()
        config = self._model.generation_config
        config.do_sample, config.eos_token_id, config.max_new_tokens = False, None, count
        mask = self._torch.ones_like(self._ids)
        with self._torch.no_grad():
            out = self._model.generate(self._ids, attention_mask=mask)
        return out[0, self._ids.shape[1] :].tolist()


def difference(ours, theirs):
    """The largest difference, in units of the largest value; infinite for shapes that differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(abs(ours - theirs).max() / max(abs(theirs).max(), 1e-30))


def first_wrong(count, is_wrong):
    """The first of `count` layers that is_wrong, or None; by halves, as what is spoilt stays so."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_wrong(middle) else (middle + 1, high)
    return low if low < count else None


def prompt_ids(args):
    if args.ids:
        return [int(word) for word in args.ids.split(",")]
    import transformers

    return transformers.AutoTokenizer.from_pretrained(args.model)(args.text).input_ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--plugin", required=True, help="the library, libmine.so")
    parser.add_argument("--model", required=True, help="the checkpoint's directory")
    parser.add_argument("--text", default="The quick brown fox jumps over the lazy dog.")
    parser.add_argument("--ids", help="token ids, 1,2,3, in the place of a text")
    parser.add_argument("--tokens", type=int, default=16, help="greedy tokens (default 16)")
    parser.add_argument("--layers", action="store_true", help="compare every layer, one by one")
    args = parser.parse_args()

    ids = prompt_ids(args)
    ours = Plugin(args.trace, args.plugin, args.model, ids)
    theirs = Transformers(args.model, ids)

    def is_wrong(what, mine, reference):
        found = difference(mine, reference)
        print(f"{what:9}  {found:8.1e}{'  differs' if found > TOLERANCE else ''}", flush=True)
        return found > TOLERANCE

    def layer_is_wrong(index):
        return is_wrong(f"layer {index}", ours.layer(index), theirs.layer(index))

    print("largest difference, in units of the largest value (up to 1e-4 is rounding)")
    logits_are_wrong = is_wrong("logits", ours.logits(), theirs.logits())
    count, wrong = ours.num_layers(), None
    if args.layers:
        wrong = min([i for i in range(count) if layer_is_wrong(i)], default=None)
    elif logits_are_wrong:
        wrong = first_wrong(count, layer_is_wrong)

    mine, reference = ours.greedy(args.tokens), theirs.greedy(args.tokens)
    if mine == reference:
        print(f"greedy     the same {args.tokens} tokens")
    else:
        at = next(i for i, (a, b) in enumerate(zip(mine, reference)) if a != b)
        print(f"greedy     differs at token {at}: {mine[at]}, transformers has {reference[at]}")
    if not logits_are_wrong:
        return int(mine != reference)
    if wrong is None:
        print("all layers agree: look at what follows (the last norm, lm_head, logit_scale)")
    elif wrong == 0:
        print("layer 0 differs: look at it and what is before it (embed_scale, rotary embedding)")
    else:
        print(f"layer {wrong} is the first that differs: what has it that {wrong - 1} lacks?")
    return 1


if __name__ == "__main__":
    sys.exit(main())
