#!/usr/bin/env python3
"""Holds make_minilm_fixture.py's forward pass against the model's own code.

Needs what requirements-compare.txt lists (PyTorch and transformers) besides
requirements.txt. Loads the same weights into transformers' BertModel, feeds it
the same 512 tokens, and prints for every layer the largest difference in
queries, keys, values and hidden state, relative to the largest entry, once with
the model in float64 and once in float32. Then compares the committed file with
what the float64 model gives, rounded to float16.

Exits 1 if a float64 difference exceeds 1e-10 or a float32 one 1e-4. Rounding
alone (u * sqrt(384) per layer, 6 layers) gives 1e-14 and 7e-6; the tanh form of
GELU, or an epsilon of 1e-5 in the layer norms, gives 1e-3.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers

import make_minilm_fixture as fixture

LIMITS = {torch.float64: 1e-10, torch.float32: 1e-4}


def run_transformers(directory, ids, dtype):
    """The counterpart of Bert.run, by forward hooks on BertModel."""
    model = transformers.BertModel.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager").eval()
    inputs = [{} for _ in range(fixture.LAYERS)]

    def hook(layer, part):
        def keep(module, arguments, output):
            del module, arguments
            inputs[layer][part] = (
                output[0].reshape(len(ids), fixture.HEADS, fixture.HEAD_DIM)
                .permute(1, 0, 2).double().numpy())
        return keep

    for layer in range(fixture.LAYERS):
        attention = model.encoder.layer[layer].attention.self
        for part, name in fixture.BERT_NAMES.items():
            getattr(attention, name).register_forward_hook(hook(layer, part))
    with torch.no_grad():
        answer = model(input_ids=torch.tensor(ids)[None],
                       output_hidden_states=True)
    return [state[0].double().numpy() for state in answer.hidden_states], inputs


def relative_difference(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def compare(directory, ids, dtype):
    """Prints the table of one precision; returns its largest entry."""
    states, inputs = fixture.Bert(fixture.load_weights(directory)).run(ids)
    their_states, their_inputs = run_transformers(directory, ids, dtype)
    print(f"| layer, {dtype} | queries | keys | values | hidden state after |")
    print("|---|---|---|---|---|")
    worst = relative_difference(states[0], their_states[0])
    print(f"| embeddings | | | | {worst:.1e} |")
    for layer in range(fixture.LAYERS):
        row = [relative_difference(inputs[layer][part],
                                   their_inputs[layer][part])
               for part in fixture.PARTS]
        row.append(relative_difference(states[layer + 1],
                                       their_states[layer + 1]))
        print(f"| {layer} | " + " | ".join(f"{x:.1e}" for x in row) + " |")
        worst = max(worst, *row)
    return worst


def fixture_gap(directory, ids):
    """Units in the last place between the committed file and float64 torch."""
    _, inputs = run_transformers(directory, ids, torch.float64)
    tensors, _ = fixture.load_fixture()
    gaps = [np.abs(fixture.places(tensors[f"layer{layer}.{part}"]) -
                   fixture.places(inputs[layer][part].astype(np.float16)))
            for layer in fixture.FIXTURE_LAYERS for part in fixture.PARTS]
    return (sum(np.count_nonzero(gap) for gap in gaps),
            max(int(gap.max()) for gap in gaps))


def main():
    directory = fixture.find_model(
        pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    ids, _ = fixture.tokenize(directory)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    agrees = True
    for dtype, limit in LIMITS.items():
        worst = compare(directory, ids, dtype)
        print(f"largest: {worst:.1e}, limit {limit:.0e}\n")
        agrees = agrees and worst <= limit
    differing, largest = fixture_gap(directory, ids)
    print(f"{fixture.FIXTURE.name} against float64 transformers: {differing}"
          f" values differ, at most by {largest} units in the last place")
    return 0 if agrees and largest <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
